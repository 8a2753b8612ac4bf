# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Whole runs of the VAE: phases, resuming, messages, and use of their weights."""

import dataclasses
import functools
import json
import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from mugv_jax.data.pixels import held_out_clips, open_pixels
from mugv_jax.sharding import mesh as meshes
from mugv_jax.sharding.place import place_batch
from mugv_jax.train import loop
from mugv_jax.train.checkpoint import FOLDER, Checkpoints
from mugv_jax.train.program import Program
from mugv_jax.train.state import join
from mugv_jax.train.vae import run as vae_run
from mugv_jax.train.vae.reconstruct import encode
from mugv_jax.weights.convert import convert
from mugv_jax.weights.load import load
from mugv_jax.weights.registry import MODELS
from tests.train.vae.runs import tiny, write_clips
from tests.weights.published_lpips import Published, save


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return write_clips(tmp_path_factory.mktemp("data") / "clips")


def train(config, run):
    return vae_run.train(config, run, jax.devices()[:1])


def lines(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module", autouse=True)
def compiled_once():
    """Runs that differ in their length and in the network's weights share what is compiled, and
    their first state."""
    made, started = {}, {}

    original = vae_run.make_program

    def program(config, mesh, perceptual=None):
        new = original(config, mesh, perceptual)
        alike = dataclasses.replace(config.run, perceptual="", steps=1)
        alike = dataclasses.replace(config, run=alike)
        old = made.setdefault(alike, new)
        new._steps, new.validate = old._steps, old.validate

        def start(found):
            if alike not in started:
                started[alike] = jax.device_get(Program.start(new, found))
            # A copy: steps write over the state that they are given.
            state = jax.tree.map(np.array, started[alike])
            state = state.replace(extra=state.extra | new.given)
            return jax.device_put(state, new.everywhere)

        new.start = start
        return new

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vae_run, "make_program", program)
        yield


def program_of(config):
    return vae_run.make_program(config, meshes.make_mesh({"data": 1}, devices=jax.devices()[:1]))


def state_at(program, run, step=None):
    """(state, where the data is) of a checkpoint, the newest by default."""
    with (
        Checkpoints(run / FOLDER, program.config.checkpoint) as checkpoints,
        meshes.use(program.mesh),
    ):
        state, where = checkpoints.restore(step or checkpoints.latest(), program)
    return jax.device_get(state), where


def counts(opt):
    """Updates that an optimizer has made, by its own count."""
    return {int(leaf) for leaf in jax.tree.leaves(opt) if leaf.dtype == np.int32}


@pytest.fixture(scope="module")
def lpips(tmp_path_factory):
    """(tensors, file) of random weights."""
    tensors = Published(seed=0).state_dict()
    return tensors, save(tensors, tmp_path_factory.mktemp("weights") / "lpips.pt")


@pytest.fixture(scope="module")
def straight(clips, lpips, tmp_path_factory):
    """A run that nothing disturbed: (its program, folder); what little it trains is compiled soon.

    The program that is returned has no perceptual network, and takes no steps.
    """
    run = tmp_path_factory.mktemp("runs") / "straight"
    config = tiny(clips, "optimizer.freeze=('encoder','temporal_','scale_','middle')",
                  f"run.perceptual={lpips[1]}", "loss.perceptual=0.5", "loss.perceptual_frames=2",
                  f"data.holdout_paths=('{clips}',)", "data.holdout_clips=2",
                  "log.validate_every=6", "log.sample_every=6")  # fmt: skip
    assert train(config, run) == 6
    return program_of(config), run


def test_a_run_goes_through_its_phases(straight):
    program, run = straight
    trained = [line for line in lines(run) if "train/loss" in line]
    assert [line["step"] for line in trained] == [1, 2, 3, 4, 5, 6]
    for line in trained:
        assert all(np.isfinite(value) for value in line.values())
        assert line["train/perceptual"] > 0
        if line["step"] == 3:
            continue  # the l1 in the loss is weighted
        if line["step"] <= 2:
            assert "train/critic" not in line
            parts = line["train/mse"] + line["train/l1"] + 0.5 * line["train/perceptual"]
            parts += program.config.loss.kl * line["train/kl"]
            assert line["train/loss"] == pytest.approx(parts, rel=1e-5)
        else:
            assert line["train/gan_weight"] > 0
            assert line["train/critic"] > 0
    validation = next(line for line in lines(run) if "validation/psnr" in line)
    assert 0 < validation["validation/psnr"] < 60
    assert -1 < validation["validation/ssim"] < 1
    boards = b"".join(path.read_bytes() for path in (run / "tensorboard").iterdir())
    assert b"reconstruction" in boards


def test_the_critic_learns_from_gan_from_on(straight):
    before, after = state_at(*straight, 3)[0], state_at(*straight)[0]
    assert (counts(before.extra["critic_opt"]), counts(after.extra["critic_opt"])) == ({0}, {3})
    assert not any(map(np.any, jax.tree.leaves(before.extra["critic_opt"])))
    for path, leaf in jax.tree.leaves_with_path(after.extra["critic"]):
        old = dict(jax.tree.leaves_with_path(before.extra["critic"]))[path]
        assert np.abs(leaf - old).max() > 0, path


def test_a_stopped_run_goes_on_bit_for_bit(straight, tmp_path, monkeypatch):
    program, reference = straight
    asked = loop.Run._step

    def stopping(self, state, batch, stretch):
        if int(state.step) == 3 and not (tmp_path / "once").exists():
            (tmp_path / "once").touch()
            raise KeyboardInterrupt
        return asked(self, state, batch, stretch)

    monkeypatch.setattr(loop.Run, "_step", stopping)
    with pytest.raises(KeyboardInterrupt):
        train(program.config, tmp_path / "run")
    assert train(program.config, tmp_path / "run") == 6
    expected, found = state_at(program, reference), state_at(program, tmp_path / "run")
    assert found[1] == expected[1]
    jax.tree.map(np.testing.assert_array_equal, found[0], expected[0])
    assert not np.array_equal(found[0].params["quant_conv"]["kernel"],
                              found[0].ema["quant_conv"]["kernel"])  # fmt: skip


@pytest.fixture(scope="module")
def posterior(straight):
    """(variables, uint8 clip) -> the posterior of a clip."""
    module = MODELS["mugv_vae"].build(straight[0].model, jnp.float32)
    encoded = jax.jit(functools.partial(encode, module))

    def of_clip(variables, clip):
        return encoded(variables, jnp.asarray(clip[None] / np.float32(127.5) - 1, jnp.float32))

    return of_clip


def sample_of(found, seed):
    return found.sample(jax.random.normal(jax.random.key(seed), found.mean.shape))


def test_the_checkpoint_is_a_vae_with_its_statistics(straight, posterior, tmp_path):
    program, run = straight
    convert(str(run), str(tmp_path / "vae.safetensors"), ema=True)
    found, variables = load(tmp_path / "vae.safetensors", "mugv_vae")
    assert found.spatial_channels == program.model.spatial_channels
    state, _ = state_at(program, run)
    np.testing.assert_array_equal(
        variables["constants"]["shift"], state.extra["constants"]["shift"]
    )
    averaged = join(state.ema, state.frozen)
    jax.tree.map(np.testing.assert_array_equal, variables["params"], averaged)
    shift, scale = (np.asarray(variables["constants"][name]) for name in ("shift", "scale"))
    z = np.stack([
        (np.asarray(sample_of(posterior(variables, clip), 0)) - shift) / scale
        for clip in held_out_clips(program.config.data)
    ])  # fmt: skip
    assert np.abs(z.mean(axis=(0, 1, 2, 3, 4))).max() < 0.5
    np.testing.assert_allclose(z.std(axis=(0, 1, 2, 3, 4)), 1, atol=0.4)


def test_statistics_are_those_of_the_posteriors_samples(straight, posterior):
    program, run = straight
    rng = np.random.default_rng(0)
    clips = rng.integers(0, 256, (3, 5, 16, 16, 3), np.uint8)
    state, _ = state_at(program, run)
    with meshes.use(program.mesh):
        batches = [place_batch({"frames": clip[None]}, program.mesh) for clip in clips]
        renewed = vae_run.LatentStatistics(program).renewed(state, batches)
        constants = renewed.extra["constants"]
    variables = {"params": join(state.ema, state.frozen), "constants": state.extra["constants"]}
    samples = []
    for clip in clips:
        found = posterior(variables, clip)
        samples += [sample_of(found, i).reshape(-1, 4) for i in range(40)]
    samples = np.concatenate(samples)
    error = 4 * samples.std(axis=0) / np.sqrt(len(samples))
    assert (np.abs(samples.mean(axis=0) - constants["shift"]) < error).all()
    np.testing.assert_allclose(samples.std(axis=0), constants["scale"], rtol=0.05)


def test_a_frozen_encoder_of_other_weights_keeps_their_statistics(straight, clips):
    state, _ = state_at(*straight)
    frozen = ("optimizer.freeze=('encoder','^quant_conv')", "run.weights=elsewhere")

    def statistics(*fields):
        return vae_run.LatentStatistics(program_of(tiny(clips, *fields)))

    assert statistics(*frozen).renewed(state, batches=()) is state
    with pytest.raises(ValueError, match="unpack"):  # there is nothing to compute them of
        statistics(*frozen[1:]).renewed(state, batches=())


def test_a_critic_does_not_go_within_a_run(straight):
    program, run = straight
    loss = dataclasses.replace(program.config.loss, gan_from=None)
    without = program_of(dataclasses.replace(program.config, loss=loss))
    with pytest.raises(ValueError, match=r"gan_from=\d+, the config says None: a critic cannot"):
        state_at(without, run)


def test_a_step_with_broken_numbers_changes_nothing(straight, lpips, tmp_path, caplog):
    """Through the program that is compiled already: the network's weights are an argument."""
    program, _ = straight
    broken = lpips[0] | {"features.0.bias": torch.full((64,), torch.nan)}
    run = dataclasses.replace(
        program.config.run, perceptual=save(broken, tmp_path / "broken.pt"), steps=2
    )
    config = dataclasses.replace(program.config, run=run)
    with caplog.at_level(logging.INFO):
        assert train(config, tmp_path / "run") == 2
    assert not any("no perceptual network" in record.getMessage() for record in caplog.records)
    state, _ = state_at(program, tmp_path / "run")
    assert (state.step, state.skipped, counts(state.opt)) == (2, 2, {0})
    jax.tree.map(np.testing.assert_array_equal, state.params, state.ema)


def test_a_run_says_that_it_has_no_perceptual_network(straight, caplog):
    program, _ = straight
    with caplog.at_level(logging.INFO):
        data = program.config.data
        batches = vae_run._batches(program, open_pixels(data.paths, data.split, data))
        vae_run._log_inputs(program.config, batches, None, None)
    said = [record.getMessage() for record in caplog.records]
    assert "training on 3 clips and 1 pictures." in said
    assert sum("no perceptual network" in line for line in said) == 1
    assert any("nothing is held out" in line for line in said)
