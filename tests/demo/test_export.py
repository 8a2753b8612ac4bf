# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import json
import shutil

import jax
import ml_dtypes
import numpy as np
import pytest

from mugv_jax.demo import export as demo_export
from mugv_jax.demo.export import DEFAULTS
from mugv_jax.demo.world.reading import read
from mugv_jax.nn.mugdit.sizes import DiTConfig
from mugv_jax.systems.mugv.models import MugvModels
from mugv_jax.video import read_image
from mugv_jax.weights.load import load
from mugv_jax.weights.random import random_variables
from mugv_jax.weights.registry import abstract_variables
from tests.systems.mugv.folders import SMALL, write_run, write_runs

NARROW = DiTConfig(depth=1, width=24, num_heads=1, text_dim=32)
NAMES = {
    "mugv_dit": "dit.safetensors",
    "mugv_vae": "vae.safetensors",
    "t5_encoder": "text_encoder/model.safetensors",
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return write_runs(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def exported(runs, tmp_path_factory):
    """Exported folder, and the sizes of its files."""
    out = tmp_path_factory.mktemp("demo")
    (out / "README.md").write_text("a card")
    return out, demo_export.export(**runs, out=out, defaults=DEFAULTS | {"guidance": 2.5})


def test_averaged_weights_are_written_in_bfloat16(exported):
    out, sizes = exported
    assert (out / "README.md").read_text() == "a card"
    assert MugvModels.from_pretrained(out).config == SMALL
    drawn = random_variables(abstract_variables("mugv_vae", SMALL.vae), seed=1)
    _, found = load(out / "vae.safetensors", "mugv_vae")
    jax.tree.map(np.testing.assert_array_equal, found["constants"], drawn["constants"])
    rounded = jax.tree.map(lambda x: np.asarray(x).astype(ml_dtypes.bfloat16), drawn["params"])
    jax.tree.map(np.testing.assert_array_equal, found["params"], rounded)
    defaults = json.loads((out / "defaults.json").read_text())
    assert (defaults["guidance"], defaults["steps"], defaults["size"]) == (2.5, 8, "64x64")
    files = {path for path in out.rglob("*") if path.is_file() and path.name != "README.md"}
    assert sizes == {str(path.relative_to(out)): path.stat().st_size for path in files}
    assert not [path for path in out.iterdir() if path.name.startswith(".")]


def test_the_picture_shows_a_yellow_box(exported):
    """`make demo` describes the picture this way."""
    picture = read_image(exported[0] / "picture.png")
    found = read(np.repeat(picture[None], 9, axis=0))
    assert (found.shape.name, found.colour.name) == ("box", "yellow")


@pytest.mark.parametrize(
    ("dit", "limit", "message"),
    [
        (SMALL.dit, 10**6, "MB are more than the 1 MB that the package may carry: "),
        (NARROW, 10**9, "sizes that leave no trace in a published file"),
    ],
    ids=["size", "lost"],
)
def test_refused_weights_leave_the_folder_unchanged(
    dit, limit, message, runs, exported, tmp_path, monkeypatch
):
    def convert(*arguments, kind, **_):
        """Copies the previously exported file."""
        name, dst = NAMES[kind], arguments[1]
        dst.parent.mkdir(exist_ok=True)
        shutil.copyfile(exported[0] / name, dst)

    runs, out = dict(runs), tmp_path / "out"
    if dit != SMALL.dit:
        runs["dit"] = write_run(tmp_path / "dit", "mugv_dit", dit)
    monkeypatch.setattr(demo_export, "MAX_BYTES", limit)
    monkeypatch.setattr(demo_export, "convert", convert)
    with pytest.raises(ValueError, match=message):
        demo_export.export(**runs, out=out)
    assert not list(out.iterdir())


def test_a_run_without_an_average_is_refused(runs, tmp_path):
    dit = write_run(tmp_path / "dit", "mugv_dit", NARROW, ema=False)
    with pytest.raises(ValueError, match="this run kept no running average"):
        demo_export.export(**runs | {"dit": dit}, out=tmp_path / "out")
