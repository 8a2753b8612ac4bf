# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Stages: their order, their starting weights, and resuming after interruptions."""

import contextlib
import dataclasses
import shutil

import jax
import numpy as np
import pytest

from mugv_jax import cli
from mugv_jax.train import curriculum, loop
from mugv_jax.train.checkpoint import FOLDER
from mugv_jax.train.curriculum import EXPANDED, Curriculum, Stage, newest_step
from mugv_jax.weights.load import load
from tests.train.runs import CONFIG, tiny, tiny_fields, write_samples

ROUNDING = 1e-6  # of the sum of two shares of a weight
PARENT = """from mugv_jax.config import read

def get_config():
    return read({!r})
"""
SHAPE = (3, 4, 4)


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    return write_samples(tmp_path_factory.mktemp("data") / "samples", 4, shapes=(SHAPE,))


def stages(samples, *second):
    """Two stages, of 3 steps and of 2."""
    fields = ("ema.decay=0.5", "optimizer.warmup_steps=1", "optimizer.learning_rate=1e-2")
    return [
        Stage("first", tiny(samples, *fields, "run.steps=3")),
        Stage("second", tiny(samples, *fields, "run.steps=2", *second)),
    ]


def make(stages, **options):
    return Curriculum(stages=stages, devices=jax.devices()[:1], **options)


def params(path, **options):
    _, variables = load(path, "mugv_dit", collections=("params",), **options)
    return jax.device_get(variables["params"])


def stop_at(monkeypatch, stage, at):
    """Stops the run in the folder `stage` after step `at`."""

    def asked(stop, step):
        return stage in stop._checkpoints.folder.parts and step >= at

    monkeypatch.setattr(loop.Stop, "asked", asked)


@pytest.fixture(scope="module")
def started(samples, tmp_path_factory):
    """A curriculum that was stopped in its first stage, then before its second one's first step."""
    folder = tmp_path_factory.mktemp("runs")
    run = make(stages(samples)).run
    with pytest.MonkeyPatch.context() as monkeypatch:
        stop_at(monkeypatch, "first", 1)
        assert not run(folder)
        assert newest_step(folder / "first") == 1
        assert not (folder / "second").exists()
        stop_at(monkeypatch, "second", 0)
        assert not run(folder)
    assert newest_step(folder / "first") == 3
    return folder


@pytest.fixture
def first_done(started, tmp_path):
    """A folder in which the first stage is finished."""
    shutil.copytree(started / "first", tmp_path / "first")
    return tmp_path


def test_a_stage_starts_from_the_average_of_the_one_before(started):
    begun, average = params(started / "second"), params(started / "first", ema=True)
    jax.tree.map(np.testing.assert_array_equal, begun, average)
    kernel = begun["final"]["linear"]["kernel"]
    assert not np.array_equal(kernel, params(started / "first")["final"]["linear"]["kernel"])


def test_an_interrupted_stage_is_gone_on_with_and_finished_ones_are_left(
    samples, started, tmp_path, monkeypatch
):
    folder = shutil.copytree(started, tmp_path / "runs")
    before = (folder / "first" / "metrics.jsonl").read_bytes()
    run = make(stages(samples)).run
    assert run(folder)
    assert newest_step(folder / "second") == 2
    assert (folder / "first" / "metrics.jsonl").read_bytes() == before
    monkeypatch.setattr(curriculum, "train", None)  # must not be called
    assert run(folder)


def test_a_wider_stage_starts_from_the_expanded_weights(samples, first_done, monkeypatch):
    run = make(stages(samples, "dit.width=48", "dit.num_heads=4"), noise=0.1).run
    stop_at(monkeypatch, "second", 0)
    assert not run(first_done)
    file = first_done / "second" / EXPANDED
    expanded = params(file)
    jax.tree.map(np.testing.assert_array_equal, params(first_done / "second"), expanded)
    narrow = params(first_done / "first", ema=True)["blocks"]["mlp"]["up"]["kernel"]
    top, bottom = np.split(expanded["blocks"]["mlp"]["up"]["kernel"], 2, axis=1)
    assert not np.allclose(top, bottom)
    np.testing.assert_allclose((top + bottom)[..., : narrow.shape[-1]], narrow, atol=ROUNDING)
    written = file.stat().st_mtime_ns
    assert not run(first_done)
    assert file.stat().st_mtime_ns == written


def test_all_processes_stop_if_the_expanded_weights_cannot_be_written(
    samples, tmp_path, monkeypatch
):
    first, second = stages(samples, "dit.width=48", "dit.num_heads=4")
    growth = make([first, second]).expansion(first, second)
    target = tmp_path / "second" / EXPANDED

    def full(*_):
        raise ValueError("no space left")

    monkeypatch.setattr(curriculum, "open_source", lambda *_, **__: contextlib.nullcontext())
    monkeypatch.setattr(curriculum, "expanded", lambda *_: None)
    monkeypatch.setattr(curriculum, "write", full)
    with pytest.raises(ValueError, match="no space left"):
        curriculum.write_expanded(tmp_path, target, growth, ema=False)
    monkeypatch.setattr(jax, "process_index", lambda: 1)
    with pytest.raises(ValueError, match="process 0 could not write it"):
        curriculum.write_expanded(tmp_path, target, growth, ema=False)
    monkeypatch.undo()
    monkeypatch.setattr(curriculum, "open_source", lambda *_, **__: contextlib.nullcontext())
    monkeypatch.setattr(curriculum, "expanded", lambda *_: None)
    monkeypatch.setattr(curriculum, "write", lambda _, to: to.path.touch())
    curriculum.write_expanded(tmp_path, target, growth, ema=False)
    assert [path.name for path in target.parent.iterdir()] == [EXPANDED]


def test_low_rank_updates_remember_that_their_weights_are_an_average(
    samples, first_done, monkeypatch
):
    stop_at(monkeypatch, "second", 0)
    assert not make(stages(samples, "lora.rank=2", "ema.enabled=False")).run(first_done)
    merged, average = params(first_done / "second"), params(first_done / "first", ema=True)
    jax.tree.map(np.testing.assert_array_equal, merged, average)


def recorded(monkeypatch, reached=None):
    """Runs that only record their configs and reach the last step, except as `reached` says."""
    seen = []

    def train(config, folder, *_):
        seen.append((folder.name, config.run.weights, config.run.ema_weights))
        (folder / FOLDER).mkdir(parents=True, exist_ok=True)
        return (reached or {}).get(folder.name, config.run.steps)

    monkeypatch.setattr(curriculum, "train", train)
    return seen


def test_what_a_stage_starts_from(samples, tmp_path, monkeypatch):
    first, second = stages(samples)
    run = dataclasses.replace(first.config.run, weights="dit.pt")
    first = Stage("first", dataclasses.replace(first.config, run=run))
    ema = dataclasses.replace(second.config.ema, enabled=False)
    second = Stage("second", dataclasses.replace(second.config, run=run, ema=ema))
    third = Stage("third", second.config)
    seen = recorded(monkeypatch)
    assert make([first, second, third]).run(tmp_path)
    assert seen == [
        ("first", "dit.pt", False),
        ("second", str(tmp_path / "first"), True),
        ("third", str(tmp_path / "second"), False),
    ]
    seen.clear()
    monkeypatch.undo()
    seen = recorded(monkeypatch, reached={"first": 1})
    assert not make([first, second]).run(tmp_path)
    assert [name for name, *_ in seen] == ["first"]


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (("dit.width=36",), "second cannot start from stage first: DiTConfig"),
        (("dit.width=12", "dit.num_heads=1"), "factor=0 must be at least 1"),
        (("dit.depth=1",), "second cannot start from stage first: depth=1 must be at least the 2"),
        (("mesh.fsdp=3",), "stage second: a mesh of .* needs"),
        (
            (
                "optimizer.schedule=annealed",
                "optimizer.decay_steps=9",
                "optimizer.warmup_steps=1",
            ),
            "stage second: warmup_steps=1 and decay_steps=9 are longer",
        ),
    ],
)
def test_stages_that_do_not_fit_are_refused_before_any_has_run(samples, second, message):
    asked = [field.partition("=")[0] for field in second]
    with pytest.raises(ValueError, match=message):
        make(stages(samples, *second), asked=asked)


def test_stages_of_one_name_are_refused(samples):
    first, _ = stages(samples)
    with pytest.raises(ValueError, match="two stages are called 'first'"):
        make([first, first])


def test_ema_weights_need_weights(samples):
    with pytest.raises(ValueError, match="ema_weights=True needs weights"):
        tiny(samples, "run.ema_weights=True")


def test_the_command_gives_every_stage_its_folder_and_the_overrides(
    samples, tmp_path, monkeypatch, capsys
):
    files = [tmp_path / "configs" / f"{name}.py" for name in ("one", "two")]
    files[0].parent.mkdir()
    for file in files:
        file.write_text(PARENT.format(str(CONFIG)))
    seen = recorded(monkeypatch)
    fields = [
        *tiny_fields(samples, "run.weights=dit.pt"), f"--config.mesh.data={jax.device_count()}"
    ]  # fmt: skip
    command = ["curriculum", "--stages", *map(str, files), "--output", str(tmp_path / "runs")]
    assert cli.main([*command, *fields]) == 0
    runs = tmp_path / "runs"
    assert seen == [("one", "dit.pt", False), ("two", str(runs / "one"), True)]
    assert cli.main(["curriculum", "--stages", str(files[0]), str(files[0]), *command[4:]]) == 2
    assert "two stages are called 'one'" in capsys.readouterr().err
