# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Whole runs of the VAE: phases, resume, what they say, and what their weights are good for."""

import json
import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mugv_jax.data.pixels import first_clips, open_pixels
from mugv_jax.sharding import mesh as meshes
from mugv_jax.train import loop
from mugv_jax.train.checkpoint import FOLDER, Checkpoints
from mugv_jax.train.vae import run as vae_run
from mugv_jax.train.vae.program import VaeProgram
from mugv_jax.train.vae.reconstruct import encode
from mugv_jax.weights.convert import convert
from mugv_jax.weights.load import load
from mugv_jax.weights.models import MODELS
from tests.train.vae.runs import tiny, write_clips


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return write_clips(tmp_path_factory.mktemp("data") / "clips")


def train(config, run):
    return vae_run.train(config, run, jax.devices()[:1])


def lines(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def final(config, run):
    """The state of the newest checkpoint."""
    program = VaeProgram(config, meshes.make_mesh({"data": 1}, devices=jax.devices()[:1]))
    with Checkpoints(run / FOLDER, config.checkpoint) as checkpoints, meshes.use(program.mesh):
        state, where = checkpoints.restore(checkpoints.latest(), program)
    return jax.device_get(state), where


@pytest.fixture(scope="module")
def straight(clips, tmp_path_factory):
    """A run that nothing disturbed: (config, folder)."""
    run = tmp_path_factory.mktemp("runs") / "straight"
    config = tiny(clips, f"data.holdout_paths=('{clips}',)", "data.holdout_clips=2",
                  "log.validate_every=6", "log.sample_every=6")  # fmt: skip
    assert train(config, run) == 6
    return config, run


def test_a_run_goes_through_its_phases(straight):
    _, run = straight
    trained = [line for line in lines(run) if "train/loss" in line]
    assert [line["step"] for line in trained] == [1, 2, 3, 4, 5, 6]
    for line in trained:
        assert all(np.isfinite(value) for value in line.values())
        parts = line["train/mse"] + line["train/l1"]
        if 2 < line["step"] <= 4:
            continue  # the l1 in the loss is weighted
        if line["step"] <= 2:
            assert line["train/gan_weight"] == line["train/critic"] == 0
            assert line["train/loss"] == pytest.approx(parts + 1e-6 * line["train/kl"], rel=1e-5)
        else:
            assert line["train/gan_weight"] > 0
            assert line["train/critic"] > 0
    validation = next(line for line in lines(run) if "validation/psnr" in line)
    assert 0 < validation["validation/psnr"] < 60
    assert -1 < validation["validation/ssim"] < 1
    boards = b"".join(path.read_bytes() for path in (run / "tensorboard").iterdir())
    assert b"reconstruction" in boards


def test_a_stopped_run_goes_on_bit_for_bit(straight, tmp_path, monkeypatch):
    config, reference = straight
    asked = loop.Run._step

    def stopping(self, state, batch, stretch):
        if int(state.step) == 3 and not (tmp_path / "once").exists():
            (tmp_path / "once").touch()
            raise KeyboardInterrupt
        return asked(self, state, batch, stretch)

    monkeypatch.setattr(loop.Run, "_step", stopping)
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "run")
    assert train(config, tmp_path / "run") == 6
    expected, found = final(config, reference), final(config, tmp_path / "run")
    assert found[1] == expected[1]
    jax.tree.map(np.testing.assert_array_equal, found[0], expected[0])
    counts = [leaf for leaf in jax.tree.leaves(found[0].critic_opt) if leaf.dtype == np.int32]
    assert counts
    assert all(count == 2 for count in counts), "the critic learns from gan_from on"
    assert not np.array_equal(found[0].params["quant_conv"]["kernel"],
                              found[0].ema["quant_conv"]["kernel"])  # fmt: skip


def test_the_checkpoint_is_a_vae_with_its_statistics(straight, tmp_path):
    config, run = straight
    convert(str(run), str(tmp_path / "vae.safetensors"), ema=True)
    found, variables = load(tmp_path / "vae.safetensors", "mugv_vae")
    assert found.spatial_channels == config.vae.spatial_channels
    state, _ = final(config, run)
    np.testing.assert_array_equal(variables["constants"]["shift"], state.constants["shift"])
    jax.tree.map(np.testing.assert_array_equal, variables["params"], state.ema)
    module = MODELS["mugv_vae"].build(config.vae, jnp.float32)
    source = open_pixels(config.data.paths, "train", config.data)
    frames = np.stack(first_clips(source, config.data)) / np.float32(127.5) - 1
    posterior = encode(module, variables, jnp.asarray(frames, jnp.float32))
    shift, scale = (np.asarray(variables["constants"][name]) for name in ("shift", "scale"))
    z = (np.asarray(posterior.sample(jax.random.key(0))) - shift) / scale
    assert np.abs(z.mean(axis=(0, 1, 2, 3))).max() < 0.5
    np.testing.assert_allclose(z.std(axis=(0, 1, 2, 3)), 1, atol=0.4)


def test_statistics_are_those_of_the_posteriors_samples(straight):
    config, run = straight
    program = VaeProgram(config, meshes.make_mesh({"data": 1}, devices=jax.devices()[:1]))
    rng = np.random.default_rng(0)
    batches = [{"frames": rng.integers(0, 256, (2, 5, 16, 16, 3), np.uint8)} for _ in range(2)]
    state, _ = final(config, run)
    with meshes.use(program.mesh):
        constants = program.with_statistics(state, batches).constants
    variables = jax.device_put({"params": state.ema, "constants": state.constants})
    samples = []
    for batch in batches:
        pixels = jnp.asarray(batch["frames"] / np.float32(127.5) - 1, jnp.float32)
        posterior = encode(program.vae, variables, pixels)
        samples += [posterior.sample(jax.random.key(i)).reshape(-1, 4) for i in range(40)]
    samples = np.concatenate(samples)
    error = 4 * samples.std(axis=0) / np.sqrt(len(samples))
    assert (np.abs(samples.mean(axis=0) - constants["shift"]) < error).all()
    np.testing.assert_allclose(samples.std(axis=0), constants["scale"], rtol=0.05)


def test_a_clip_is_learned_by_heart(tmp_path):
    clips = write_clips(tmp_path / "clips", count=1)
    config = tiny(clips, "run.steps=24", "data.read_frames=9", "data.frames=9", "ema.enabled=False",
                  "loss.gan_from=None", "loss.adaptive_from=None", "checkpoint.every=100",
                  "optimizer.learning_rate=2e-3")  # fmt: skip
    assert train(config, tmp_path / "run") == 24
    loss = [line["train/loss"] for line in lines(tmp_path / "run") if "train/loss" in line]
    assert np.mean(loss[-5:]) < loss[0] / 2.5


def test_a_run_says_that_it_has_no_perceptual_network(straight, caplog):
    config, _ = straight
    with caplog.at_level(logging.INFO):
        vae_run._say(config, vae_run._batches(VaeProgram(config, meshes.make_mesh())), None, None)
    said = [record.getMessage() for record in caplog.records]
    assert "training on 3 clips and 1 pictures." in said
    assert sum("no perceptual network" in line for line in said) == 1
    assert any("nothing is held out" in line for line in said)
