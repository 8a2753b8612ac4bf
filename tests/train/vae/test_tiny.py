# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Runs of a tiny decoder: pairs, steps, resuming, and the weights that they make."""

import dataclasses
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import tiny_decoder_demo, tiny_decoder_mugv
from mugv_jax import config as configs
from mugv_jax.nn.vae.sizes import VAEConfig
from mugv_jax.train.vae import tiny_run
from mugv_jax.train.vae.pairs import FullDecoder, Pairs, PairSteps
from mugv_jax.train.vae.reconstruct import decode_features, encode
from mugv_jax.train.vae.tiny_config import from_config_dict
from mugv_jax.video import to_frames, to_pixels
from mugv_jax.weights.convert import convert
from mugv_jax.weights.load import load, read_config
from mugv_jax.weights.registry import MODELS
from tests.systems.mugv.folders import write_run
from tests.train.vae.runs import SIDE, moving_square, write_clips

CONFIG = Path(__file__).parents[3] / "configs" / "tiny_decoder_demo.py"
VAE = VAEConfig(
    spatial_channels=(8, 8),
    spatial_layers=1,
    temporal_filters=8,
    temporal_multipliers=(1, 1),
    temporal_layers=1,
    latent_channels=4,
    window_frames=4,
)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return write_clips(tmp_path_factory.mktemp("data") / "clips")


@pytest.fixture(scope="module")
def vae(tmp_path_factory):
    """A VAE of random weights, as a training run."""
    return write_run(tmp_path_factory.mktemp("vae") / "run", "mugv_vae", VAE, ema=False)


def tiny(clips, vae, *overrides):
    fields = (
        "tiny_decoder.latent_channels=4", "tiny_decoder.width=8", "tiny_decoder.layers=1",
        "tiny_decoder.feature_channels=4", "tiny_decoder.frame_widths=(4,)",
        "tiny_decoder.frame_layers=1", "tiny_decoder.patch_px=1", "tiny_decoder.time_factor=2",
        "tiny_decoder.window_frames=4",
        f"data.paths=('{clips}',)", f"data.size=({SIDE},{SIDE})", "data.frames=5", "data.rows=2",
        "data.clips=3", "data.threads=1", "loss.frames=2", f"run.vae={vae}", "run.steps=20",
        "optimizer.method=adamw", "optimizer.warmup_steps=1", "optimizer.schedule=constant",
        "ema.decay=0.5", "checkpoint.every=10", "checkpoint.keep=3", "log.every=1",
        "log.validate_every=0",
        *overrides,
    )  # fmt: skip
    values = configs.override(configs.read(CONFIG), [f"--config.{each}" for each in fields])
    return from_config_dict(values)


def lines(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def train(config, run):
    return tiny_run.train(config, run, jax.devices()[:1])


@pytest.fixture(scope="module")
def straight(clips, vae, tmp_path_factory):
    """A run that nothing disturbed: (its config, folder)."""
    run = tmp_path_factory.mktemp("runs") / "straight"
    config = tiny(clips, vae, f"data.holdout_paths=('{clips}',)", "data.holdout_clips=2",
                  "log.validate_every=20", "log.sample_every=20")  # fmt: skip
    assert train(config, run) == 20
    return config, run


def test_a_run_comes_nearer_to_the_full_decoder(straight):
    _, run = straight
    trained = [line for line in lines(run) if "train/loss" in line]
    assert [line["step"] for line in trained] == [*range(1, 21)]
    for line in trained:
        assert line["train/loss"] == pytest.approx(2 * line["train/mse"] + line["train/l1"])
    assert np.mean([line["train/psnr"] for line in trained[-4:]]) > trained[0]["train/psnr"] + 1
    validation = next(line for line in lines(run) if "validation/psnr" in line)
    assert 0 < validation["validation/psnr"] < 60
    assert -1 < validation["validation/ssim"] < 1
    boards = b"".join(path.read_bytes() for path in (run / "tensorboard").iterdir())
    assert b"reconstruction" in boards


def test_a_stopped_run_resumes_bit_for_bit_without_the_vae(straight, clips, vae, tmp_path, caplog):
    _, expected = straight
    run = tmp_path / "run"
    assert train(tiny(clips, vae, "run.steps=10"), run) == 10
    caplog.clear()
    assert train(tiny(clips, vae), run) == 20
    assert "pass the VAE once" not in caplog.text
    (one, other) = (load(folder, ema=True)[1]["params"] for folder in (run, expected))
    jax.tree.map(np.testing.assert_array_equal, one, other)


def test_its_weights_are_a_tiny_decoder(straight, tmp_path):
    config, run = straight
    file = tmp_path / "tiny_decoder.safetensors"
    convert(run, file, ema=True)
    kind, found = read_config(file)
    assert kind == "mugv_tiny_decoder"
    assert found == dataclasses.replace(config.tiny_decoder, window_frames=48)


def test_pairs_are_what_encoding_and_decoding_make(vae):
    clips = [moving_square(5, seed) for seed in range(5)]  # more than pass the VAE together
    made = [*FullDecoder(str(vae), jnp.float32).pairs(clips, len(clips))]
    latents, frames = (np.concatenate(part) for part in zip(*made, strict=True))
    config, variables = load(vae)
    module = MODELS["mugv_vae"].build(config, jnp.float32)
    pixels = jnp.asarray(to_pixels(clips[4]))[None]

    @jax.jit
    def again(variables, pixels):
        mean = encode(module, variables, pixels).mean
        features = decode_features(module, variables, mean, 5, config.window_latents)
        decoded = module.apply(variables, features, method="decode_pixels")
        return module.apply(variables, mean, method="normalize"), decoded

    normalized, decoded = again(variables, pixels)
    np.testing.assert_allclose(latents[4], normalized[0], rtol=1e-4, atol=1e-4)
    levels = np.abs(frames[4].astype(int) - to_frames(np.asarray(decoded[0])).astype(int))
    assert levels.max() <= 1  # half way between two levels either may come out


def test_steps_depend_on_the_seed_and_their_number_alone():
    frames = np.arange(7 * 5, dtype=np.uint8).reshape(7, 5, 1, 1, 1) * np.ones(3, np.uint8)
    pairs = Pairs(np.arange(7, dtype=np.float32).reshape(7, 1, 1, 1, 1), frames)
    both = PairSteps(pairs, 3, 2, (0, 1), 10, seed=1)
    batch, second = both[4], PairSteps(pairs, 3, 2, (1,), 10, seed=1)[4]
    assert batch["frames"].shape == (6, 2, 1, 1, 3)
    for name, values in second.items():
        np.testing.assert_array_equal(values, batch[name][3:])
    assert (batch["seen"] == batch["seen"][0]).all()
    for row in range(6):  # latents and frames are of one clip
        sample = batch["sample"][row]
        assert batch["latent"][row].item() == sample
        np.testing.assert_array_equal(
            batch["frames"][row, :, 0, 0, 0], 5 * sample + batch["seen"][row]
        )
    with_all = PairSteps(pairs, 1, None, (0,), 10, seed=1)[0]
    np.testing.assert_array_equal(with_all["seen"], [[0, 1, 2, 3, 4]])


@pytest.mark.parametrize("config", [tiny_decoder_demo, tiny_decoder_mugv], ids=["demo", "mugv"])
def test_shipped_configs_are_read(config):
    read = from_config_dict(config.get_config())
    assert read.tiny_decoder.spatial_factor == read.tiny_decoder.time_factor == 8
    assert not [side for side in read.data.size if side % 8]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("run.vae=", "vae='' must name the weights of the VAE"),
        ("data.frames=12", "data.frames=12 must be 8 k or 8 k"),
        ("data.size=(60,64)", r"data.size=\(60, 64\) must be multiples of 8"),
        ("loss.frames=0", "frames=0 must be at least 1"),
        ("run.perceptual=lpips.pt --config.loss.perceptual=0.0", "has no effect"),
        ("data.clips=0", "clips=0 must be at least 1"),
    ],
)
def test_impossible_configs_are_refused(override, message):
    given = [f"--config.{each}" for each in override.split(" --config.")]
    with pytest.raises(ValueError, match=message):
        from_config_dict(configs.override(configs.read(CONFIG), given))


def test_a_vae_with_other_latents_is_refused_before_anything_is_made(clips, vae, tmp_path):
    config = tiny(clips, vae, "tiny_decoder.latent_channels=5")
    with pytest.raises(ValueError, match="has latent_channels=4, the tiny decoder 5: choose sizes"):
        train(config, tmp_path / "run")
    missing = tiny(clips, tmp_path / "none.pt")
    with pytest.raises(ValueError, match=r"run.vae='.*none.pt'"):
        train(missing, tmp_path / "run")
    assert not (tmp_path / "run").exists()
