# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np

from mugv_jax.demo.eval import identity
from mugv_jax.systems.mugv.models import MugvModels
from tests.systems.mugv.folders import SMALL


def test_every_file_is_named_with_its_digest(tmp_path):
    dit, text = tmp_path / "dit.pt", tmp_path / "text_encoder"
    dit.write_bytes(b"weights")
    (text / "parts").mkdir(parents=True)
    for name in ("config.json", "parts/one"):
        (text / name).write_text(name)
    models = MugvModels.random(SMALL)
    found = identity.identify(replace(models, sources={"mugv_dit": dit, "t5_encoder": text}))
    digest = hashlib.sha256(b"weights").hexdigest()
    assert found["files"]["mugv_dit"] == {"path": str(dit), "sha256": digest}
    assert found["sizes"]["dit"]["width"] == SMALL.dit.width
    before = found["files"]["t5_encoder"]["sha256"]
    shutil.copytree(text, tmp_path / "copied")
    assert identity.digest(tmp_path / "copied") == before
    (text / "parts" / "one").rename(text / "parts" / "two")
    assert identity.digest(text) != before


def test_random_weights_have_no_files():
    assert identity.identify(MugvModels.random(SMALL, dtype=np.float32)) == {
        "files": {},
        "sizes": identity.identify(MugvModels.random(SMALL))["sizes"],
        "dtype": "float32",
        "quantize": None,
    }


def test_a_run_is_identified_by_its_newest_checkpoint(tmp_path, monkeypatch):
    monkeypatch.setattr(identity, "steps", lambda path: [path / "100", path / "200"])
    assert identity.newest(tmp_path) == tmp_path / "200"
    assert identity.newest(Path("dit.pt")) == Path("dit.pt")
