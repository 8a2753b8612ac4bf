# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""What --overwrite does to folders that commands fill and resume."""

import argparse

import pytest

from mugv_jax import cli
from mugv_jax.commands import demo
from mugv_jax.commands.training import anew
from mugv_jax.demo import recipe


@pytest.fixture
def runs(tmp_path):
    """Two training runs with a checkpoint each."""
    folders = [tmp_path / name for name in ("stage1", "stage2")]
    for folder in folders:
        (folder / "checkpoints" / "9").mkdir(parents=True)
        (folder / "checkpoints" / "9" / "state").write_text("older")
        (folder / "metrics.jsonl").write_text("older")
        (folder / "notes.txt").write_text("mine")
    return folders


@pytest.mark.parametrize("overwrite", [True, False])
def test_a_run_begins_anew_only_if_it_is_asked_to(overwrite, runs):
    with anew(argparse.Namespace(overwrite=overwrite), runs):
        for folder in runs:
            assert (folder / "checkpoints").exists() is not overwrite
            (folder / "checkpoints" / "1").mkdir(parents=True)
            (folder / "checkpoints" / "1" / "state").write_text("newer")
    for folder in runs:
        names = {path.name for path in (folder / "checkpoints").iterdir()}
        assert names == ({"1"} if overwrite else {"1", "9"})
        assert (folder / "notes.txt").read_text() == "mine"
        assert (folder / "metrics.jsonl").exists() is not overwrite


def test_a_run_that_cannot_begin_leaves_the_older_one(runs, capsys):
    words = ["train", "--config", "nowhere.py", "--output", str(runs[0]), "--overwrite"]
    assert cli.main(words) == cli.USER_ERROR
    assert "nowhere.py" in capsys.readouterr().err
    assert (runs[0] / "checkpoints" / "9" / "state").read_text() == "older"


def test_rendered_clips_are_replaced_only_if_it_is_asked_to(tmp_path, capsys, monkeypatch):
    def write_clips(clips, folder, *, pictures):
        assert not pictures
        (folder / "captions.csv").write_text(f"seed {clips.seed}")

    monkeypatch.setattr(demo, "write_clips", write_clips)
    words = ["demo", "world", "--split=train", "--count=1", "--frames=9", "-o", str(tmp_path)]
    assert cli.main(words) == 0
    capsys.readouterr()
    assert cli.main([*words, "--seed=1"]) == cli.USER_ERROR
    assert "captions.csv exists; pass --overwrite" in capsys.readouterr().err
    assert (tmp_path / "captions.csv").read_text() == "seed 0"
    assert cli.main([*words, "--seed=1", "--overwrite"]) == 0
    assert (tmp_path / "captions.csv").read_text() == "seed 1"


def test_all_stages_of_the_demo_are_forgotten(tmp_path):
    for name in ("world", "dit", "mine"):
        (tmp_path / name).mkdir()
    (tmp_path / "vae.done").touch()
    recipe.forget(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
