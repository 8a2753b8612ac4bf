# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The order of the demo's stages; what they call is tested where it stands."""

import sys
from pathlib import Path

import pytest

from mugv_jax import config as configs
from mugv_jax.demo import recipe as demo_train
from mugv_jax.train.vae.vae_config import from_config_dict


@pytest.fixture
def calls(monkeypatch):
    """What would have been run: lists of words."""
    found = []

    def record(main, *arguments):
        found.append([main.__module__.rpartition(".")[2], *map(str, arguments)])

    def world(recipe):
        (recipe.root / "world" / "demo_world" / "1.0.0").mkdir(parents=True)

    monkeypatch.setattr(demo_train, "run", record)
    monkeypatch.setattr(demo_train.Recipe, "world", world)
    return found


def test_every_stage_starts_from_what_the_ones_before_made(tmp_path, calls):
    assert demo_train.main(["--out", str(tmp_path)]) == 0
    made = {str(tmp_path / "world" / "demo_world" / "1.0.0")}
    for words in calls:
        for word in words:
            _, _, path = word.rpartition("=")
            if path.startswith(f"{tmp_path}/vae") and "run.weights" in word:
                assert path in made, words
        made |= {words[i + 1] for i, word in enumerate(words) if word in ("--out", "--output")}
    commands = [words[:2] for words in calls]
    assert [command for command in commands if command[1].startswith("train")] == [
        *[["cli", "train-vae"]] * 5,
        ["cli", "train"],
    ]
    assert commands[-1] == ["cli", "eval"]


def test_what_is_done_is_not_done_again(tmp_path, calls):
    demo_train.main(["--out", str(tmp_path), "--until", "vae_spatial"])
    before = len(calls)
    demo_train.main(["--out", str(tmp_path), "--until", "vae_temporal"])
    (again,) = calls[before:]
    assert str(tmp_path / "vae_temporal") in again
    assert f"--config.run.weights={tmp_path / 'vae_spatial'}" in again


@pytest.mark.usefixtures("calls")
def test_a_stage_that_fails_ends_all_and_is_not_marked(tmp_path, monkeypatch):
    monkeypatch.setattr(demo_train.Recipe, "text", lambda _: sys.exit(1))
    with pytest.raises(SystemExit):
        demo_train.main(["--out", str(tmp_path)])
    assert {path.name for path in tmp_path.glob("*.done")} == {"world.done", "clips.done"}


def test_the_options_of_the_vaes_runs_are_those_of_its_config(tmp_path, calls):
    demo_train.main(["--out", str(tmp_path), "--until", "vae"])
    runs = [words for words in calls if words[1] == "train-vae"]
    for words in runs:
        values = configs.read(words[words.index("--config") + 1])
        overrides = [word for word in words if word.startswith("--config.")]
        config = from_config_dict(configs.override(values, overrides))
        assert Path(config.data.paths[0]).is_dir()
    assert config.run.part == "whole"
