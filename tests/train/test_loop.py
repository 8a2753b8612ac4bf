# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Whole runs: stopped, killed, resumed, on several processes, and with errors."""

import itertools
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys

import jax
import numpy as np
import pytest

from mugv_jax.data.folder_lock import LOCK
from mugv_jax.sharding import mesh as meshes
from mugv_jax.train import diffusion, loop
from mugv_jax.train.checkpoint import FOLDER, Checkpoints
from mugv_jax.train.diffusion import make_program
from mugv_jax.train.inputs import abstract_null_text
from tests.train.run_tiny import WAITING
from tests.train.runs import CONFIG, tiny, tiny_fields, write_samples
from tests.weights.checkpoints import golden_tensors, save

# Writing more fails, as on a full disk.
FILES_OF_20_KIB = ("bash", "-c", 'ulimit -f 20; exec "$@"', "bash")
SIX_STEPS = ("run.steps=6", "log.every=1", "checkpoint.every=2")
SAME_CURVE = 1e-5  # relative: sums over processes have another order


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    return write_samples(tmp_path_factory.mktemp("data") / "samples", 12, shapes=((3, 4, 4),))


def lines(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def losses(run):
    """Loss by step; the last one of a repeated step."""
    return {line["step"]: line["train/loss"] for line in lines(run) if "train/loss" in line}


def program_of(config, devices=1):
    mesh = config.mesh.make_mesh(jax.devices()[:devices])
    return make_program(config, mesh, abstract_null_text(config))


def final(config, run):
    """State of the newest checkpoint."""
    program = make_program(
        config, config.mesh.make_mesh(jax.devices()[: config.mesh.data]), abstract_null_text(config)
    )
    with Checkpoints(run / FOLDER, config.checkpoint) as checkpoints, meshes.use(program.mesh):
        state, where = checkpoints.restore(checkpoints.latest(), program)
    return jax.device_get(state), where


def train(config, run, devices=1):
    return diffusion.train(config, run, jax.devices()[:devices])


@pytest.fixture(scope="module")
def straight(samples, tmp_path_factory):
    """An undisturbed run: (config, folder)."""
    run = tmp_path_factory.mktemp("runs") / "straight"
    config = tiny(samples, "log.every=1", "checkpoint.every=2", "data.holdout=0.2",
                  "log.validate_every=6", "log.sample_every=6", "log.sample_steps=2")  # fmt: skip
    assert train(config, run) == 6
    return config, run


def copied(straight, run, step):
    """Copy of the undisturbed run as it was when `step` was saved; its folder."""
    shutil.copytree(straight[1] / FOLDER, run / FOLDER)
    for path in (run / FOLDER).iterdir():
        if path.name.isdecimal() and int(path.name) > step:
            shutil.rmtree(path)
    return run


def test_a_run_writes_metrics_samples_and_checkpoints(straight):
    config, run = straight
    found = lines(run)
    trained = [line for line in found if "train/loss" in line]
    assert [line["step"] for line in trained] == [1, 2, 3, 4, 5, 6]
    for line in trained:
        assert {"train/grad_norm", "train/param_norm", "train/learning_rate"} <= set(line)
        assert {"speed/tokens_per_second", "speed/tflops_per_device", "time/goodput"} <= set(line)
        assert all(np.isfinite(value) for value in line.values())
        assert 0 <= line["time/goodput"] <= 1
    assert any("task/i2v" in line for line in trained)
    validation = next(line for line in found if "validation/loss" in line)
    mean = np.mean([validation["validation/t2v"], validation["validation/i2v"]])
    assert validation["validation/loss"] == pytest.approx(mean, rel=1e-6)
    boards = list((run / "tensorboard").iterdir())
    assert boards
    assert b"sample/" in b"".join(path.read_bytes() for path in boards)
    steps = {int(path.name) for path in (run / FOLDER).iterdir() if path.name.isdecimal()}
    assert steps == {2, 4, 6}
    assert len(steps) == config.checkpoint.keep


def test_a_stopped_run_goes_on_to_the_same_parameters_bit_for_bit(straight, tmp_path, monkeypatch):
    config, reference = straight
    stop_at = 3
    monkeypatch.setattr(loop.Stop, "asked", lambda _, step: step >= stop_at)
    assert train(config, tmp_path / "run") == stop_at
    monkeypatch.undo()
    assert train(config, tmp_path / "run") == config.run.steps
    ours, where = final(config, tmp_path / "run")
    theirs, reference_where = final(config, reference)
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)
    assert where == reference_where
    assert losses(tmp_path / "run") == losses(reference)


def test_a_checkpoint_goes_on_on_another_mesh(straight, tmp_path):
    config, reference = straight
    run = copied(straight, tmp_path / "run", step=2)
    overrides = ("log.every=1", "checkpoint.every=2", "data.holdout=0.2")
    split = tiny(config.data.paths[0], *overrides, "mesh.fsdp=2", "data.tokens_per_shard=14")
    assert train(split, run, devices=2) == config.run.steps
    found, expected = losses(run), losses(reference)
    assert set(found) == {3, 4, 5, 6}
    assert found == pytest.approx({step: expected[step] for step in found}, rel=SAME_CURVE)


def test_low_rank_updates_go_on_over_the_weights_they_had(straight, tmp_path, monkeypatch):
    config, reference = straight
    fields = ("lora.rank=2", "run.dtype=bfloat16", "checkpoint.every=9", f"run.weights={reference}")
    low_rank = tiny(config.data.paths[0], *fields)
    assert train(low_rank, tmp_path / "straight") == 6
    monkeypatch.setattr(loop.Stop, "asked", lambda _, step: step >= 3)
    assert train(low_rank, tmp_path / "run") == 3
    monkeypatch.undo()
    assert train(low_rank, tmp_path / "run") == 6
    ours, theirs = (final(low_rank, tmp_path / run)[0] for run in ("run", "straight"))
    jax.tree.map(np.testing.assert_array_equal, ours.params, theirs.params)


def test_samples_are_decoded_by_a_vae_whatever_the_mesh(straight, tmp_path):
    config, _ = straight
    vae = save(tmp_path / "vae.pt", golden_tensors("vae_tiny"))
    fields = ("run.steps=2", "log.sample_every=2", "log.sample_steps=2", f"log.vae={vae}")
    split = tiny(config.data.paths[0], "data.holdout=0.2", "mesh.fsdp=2", *fields)
    assert train(split, tmp_path / "run", devices=2) == 2
    boards = (tmp_path / "run" / "tensorboard").iterdir()
    assert b"sample/" in b"".join(path.read_bytes() for path in boards)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("dit.depth=3", r"holds a mugv_dit of other sizes: depth=2 \(not 3\)"),
        ("ema.enabled=False", "was trained with enabled=True, the config says False"),
        ("optimizer.freeze=('text_embed',)", "was trained with freeze="),
    ],
)
def test_a_run_is_not_gone_on_with_as_another_model(straight, override, message):
    _, run = straight
    other = tiny("unread", override)
    program = make_program(
        other, other.mesh.make_mesh(jax.devices()[:1]), abstract_null_text(other)
    )
    with (
        Checkpoints(run / FOLDER, other.checkpoint) as checkpoints,
        pytest.raises(ValueError, match=message),
    ):
        checkpoints.restore(6, program)


def test_a_damaged_checkpoint_is_named(straight, tmp_path):
    config, _ = straight
    copied(straight, tmp_path, step=2)
    (tmp_path / FOLDER / "2" / "state" / "_METADATA").write_text("{")
    program = make_program(
        config, config.mesh.make_mesh(jax.devices()[:1]), abstract_null_text(config)
    )
    with (
        Checkpoints(tmp_path / FOLDER, config.checkpoint) as checkpoints,
        pytest.raises(ValueError, match="2: a damaged checkpoint"),
    ):
        checkpoints.restore(2, program)


def test_a_full_disk_leaves_the_last_checkpoint_whole(straight, tmp_path):
    config, _ = straight
    run, samples = copied(straight, tmp_path / "run", step=2), config.data.paths[0]
    before = final(config, run)
    on_a_full_disk = subprocess.run(
        [
            *FILES_OF_20_KIB, sys.executable, "-m", "mugv_jax.cli", "train",
            "--config", CONFIG, "--output", run,
            *tiny_fields(samples, "data.holdout=0.2", "checkpoint.every=2"),
        ],
        env=on_one_device() | {"PYTHONDONTWRITEBYTECODE": "1"},  # it would leave halves of files
        capture_output=True, text=True,
    )  # fmt: skip
    assert on_a_full_disk.returncode == 2, on_a_full_disk.stderr
    assert re.search(
        r"mugv-jax train: .* of step 4 could not be written .*; step 2 is complete. Free space",
        on_a_full_disk.stderr,
    ), on_a_full_disk.stderr
    assert "Traceback" not in on_a_full_disk.stderr
    assert [path.name for path in (run / FOLDER).iterdir()] == ["2"]
    assert not (run / LOCK).exists()
    jax.tree.map(np.testing.assert_array_equal, final(config, run), before)
    assert train(config, run) == config.run.steps


def command(samples, run, *overrides):
    fields = (*SIX_STEPS, *overrides)
    return [
        sys.executable, "-m", "tests.train.run_tiny", str(samples), str(run), *fields,
    ]  # fmt: skip


def on_one_device():
    """Environment of a process with one device; of two values XLA takes the last."""
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=1"
    return os.environ | {"XLA_FLAGS": flags}


def test_two_processes_train_like_one_on_rows_of_their_own(samples, tmp_path):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    together, alone = tmp_path / "together", tmp_path / "alone"
    processes = [
        subprocess.Popen(
            [*command(samples, together, "mesh.fsdp=2", "mesh.data=1"), address, str(number)],
            env=on_one_device(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for number in range(2)
    ]  # fmt: skip
    config = tiny(samples, *SIX_STEPS, "mesh.fsdp=2", "mesh.data=1")
    assert train(config, alone, devices=2) == config.run.steps
    outputs = [process.communicate() for process in processes]
    for process, (_, errors) in zip(processes, outputs):
        assert process.returncode == 0, errors
    assert losses(together) == pytest.approx(losses(alone), rel=SAME_CURVE)
    rows = [json.loads(output.splitlines()[-1]) for output, _ in outputs]
    for step in range(6):
        first, second = (set(each[step]) for each in rows)
        assert first
        assert not first & second


def test_sigterm_saves_and_a_kill_loses_only_what_was_not_saved(straight, samples, tmp_path):
    config, reference = straight
    run = tmp_path / "run"
    for number, status, steps in ((signal.SIGTERM, 0, 2), (signal.SIGKILL, -signal.SIGKILL, 5)):
        with subprocess.Popen(
            command(samples, run, "data.holdout=0.2", f"signal_after={steps}"),
            env=on_one_device(), text=True, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
        ) as process:  # fmt: skip
            before = list(itertools.takewhile(lambda line: line != WAITING, process.stderr))
            process.send_signal(number)
            after = process.stderr.read()
        assert process.returncode == status, (before, after)
        if number == signal.SIGTERM:
            assert "stopped and saved at step 3" in after
    assert train(config, run) == config.run.steps
    jax.tree.map(np.testing.assert_array_equal, final(config, run), final(config, reference))
    steps = [line["step"] for line in lines(run) if "train/loss" in line]
    assert steps == sorted(set(steps))  # what the killed run wrote is not repeated
