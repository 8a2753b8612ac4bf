# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import json

import pytest

from mugv_jax.demo.text import command as demo_text
from mugv_jax.systems.mugv.models import find_weights


def test_a_folder_is_written_and_scored(tmp_path, capsys):
    for name in ("dit", "vae"):
        (tmp_path / name).mkdir()
    out = tmp_path / "text_encoder"
    few = ["--steps", "2", "--captions", "1000", "--probes", "64"]
    assert demo_text.main(["--out", str(out), *few]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert set(scores) == {"full", "small"}
    assert scores["small"]["probe"]["unseen"].keys() == {"shape", "colour", "motion"}
    paths = find_weights(tmp_path)
    assert paths.text_encoder == paths.tokenizer == out


def test_mistakes_are_one_line(tmp_path, capsys):
    (tmp_path / "model.safetensors").write_bytes(b"")
    for options, message in (
        (["--steps", "0"], "steps=0 must be at least 1"),
        ([], "model.safetensors exists; pass --overwrite"),
    ):
        with pytest.raises(SystemExit) as stop:
            demo_text.main(["--out", str(tmp_path), *options])
        assert stop.value.code == 2
        assert message in capsys.readouterr().err
