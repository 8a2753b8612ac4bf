# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The order of the demo's training stages; their commands have their own tests."""

import functools
from pathlib import Path

import pytest

from mugv_jax import config as configs
from mugv_jax.demo import recipe
from mugv_jax.train.vae.vae_config import from_config_dict


@pytest.fixture
def calls():
    """Arguments of the commands that would run."""
    return []


@pytest.fixture
def train(tmp_path, monkeypatch, calls):
    def world(folder, **_):
        (folder / "demo_world" / "1.0.0").mkdir(parents=True)

    monkeypatch.setattr(recipe, "render_world", world)
    for folder in ("two_steps", "assets/few_steps"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "two_steps" / "defaults.json").write_text("{}")
    return functools.partial(recipe.train, tmp_path, tmp_path / "assets", calls.append)


def test_every_stage_starts_from_results_of_earlier_ones(train, calls):
    train()
    made = set()
    for words in calls:
        for word in words:
            _, found, path = word.partition("--config.run.weights=")
            assert not found or path in made, words
        made |= {words[i + 1] for i, word in enumerate(words) if word in ("--out", "--output")}
    trained = [words[0] for words in calls if words[0].startswith("train")]
    assert trained == [*["train-vae"] * 8, *["train"] * 3]
    assert calls[-1][:2] == ["eval", "demo"]


def test_a_finished_stage_is_skipped(train, calls, tmp_path):
    train(until="vae_spatial")
    before = len(calls)
    train(until="vae_temporal")
    (words,) = calls[before:]
    assert str(tmp_path / "vae_temporal") in words
    assert f"--config.run.weights={tmp_path / 'vae_spatial'}" in words


@pytest.mark.usefixtures("train")
def test_a_failed_stage_ends_the_run_and_is_not_marked(tmp_path):
    def fail(arguments):
        if arguments[:2] == ["demo", "text"]:
            raise SystemExit(1)

    with pytest.raises(SystemExit):
        recipe.train(tmp_path, tmp_path / "assets", fail)
    assert {path.name for path in tmp_path.glob("*.done")} == {"world.done", "clips.done"}


def test_the_vae_runs_override_fields_that_their_configs_have(train, calls):
    train(until="vae_stars")
    runs = [words for words in calls if words[0] == "train-vae"]
    for words in runs:
        values = configs.read(words[words.index("--config") + 1])
        overrides = [word for word in words if word.startswith("--config.")]
        config = from_config_dict(configs.override(values, overrides))
        assert all(Path(path).is_dir() for path in config.data.paths)
    assert config.run.part == "whole"
    assert [Path(path).parents[1].name for path in config.data.paths] == [
        "world", "stars", "stars",
    ]  # fmt: skip
