# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mugv_jax.nn.vae.autoencoder import VideoVAE
from mugv_jax.nn.vae.sizes import VAEConfig
from mugv_jax.systems.mugv import windows
from mugv_jax.weights.random import random_variables
from mugv_jax.weights.registry import abstract_variables

# The published code itself is 1e-6 to 3e-6 away from a float64 evaluation.
PARITY = 1e-5

TINY = VAEConfig(
    spatial_channels=(32, 32),
    spatial_layers=1,
    temporal_filters=32,
    temporal_multipliers=(1, 1, 1),
    temporal_layers=1,
    latent_channels=3,
    window_frames=8,
)


def relative_error(actual, expected) -> float:
    actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    return np.linalg.norm(actual - expected) / np.linalg.norm(expected)


@pytest.fixture(scope="module")
def tiny():
    variables = random_variables(abstract_variables("mugv_vae", TINY), seed=0)
    return VideoVAE(TINY, jnp.float32), variables


@functools.partial(jax.jit, static_argnames=("vae", "method"))
def run(vae, variables, x, method):
    return vae.apply(variables, x, method=method)


def smooth(frames: int, height: int, width: int, channels: int) -> jax.Array:
    """A low sine per axis and channel."""
    f, h, w, c = np.indices((frames, height, width, channels))
    return jnp.asarray(np.sin(0.3 * h + 0.2 * w + 0.5 * f + c)[None], jnp.float32)


@pytest.mark.parametrize("frames", [1, 7, 13])
def test_encoding_is_the_published_route_whatever_the_step(tiny, frames, monkeypatch):
    vae, variables = tiny
    pixels = smooth(frames, 6, 4, 3)
    features = run(vae, variables, pixels, "encode_features")
    lead = 3 if frames % 4 == 1 else 0
    features = jnp.concatenate([features[:, :1]] * lead + [features], axis=1)
    means = [
        run(vae, variables, features[:, i : i + 8], "encode_moments")[0]
        for i in range(0, features.shape[1], 8)
    ]
    expected = run(vae, variables, jnp.concatenate(means, axis=1), "normalize")
    for step in (3, 64):
        monkeypatch.setattr(windows, "default_step", lambda *_, step=step: step)
        latent = windows.encode(vae, variables, pixels)
        assert relative_error(latent, expected) < PARITY


def test_a_key_samples_the_posterior_around_its_mean(tiny):
    vae, variables = tiny
    pixels = smooth(4, 6, 4, 3)
    mean = windows.encode(vae, variables, pixels)
    samples = [windows.encode(vae, variables, pixels, jax.random.key(i)) for i in (0, 0, 1)]
    np.testing.assert_array_equal(samples[0], samples[1])
    features = run(vae, variables, pixels, "encode_features")
    _, log_variance = run(vae, variables, features, "encode_moments")
    noise = jax.random.normal(jax.random.key(1), mean.shape)
    sample = run(vae, variables, mean, "denormalize") + jnp.exp(0.5 * log_variance) * noise
    assert relative_error(samples[2], run(vae, variables, sample, "normalize")) < PARITY


def test_decoding_goes_window_by_window_and_a_few_frames_at_a_time(tiny, monkeypatch):
    vae, variables = tiny
    latent = smooth(3, 4, 3, 3)
    monkeypatch.setattr(windows, "default_step", lambda *_: 3)
    steps = list(windows.decode_in_steps(vae, variables, latent, 11))
    assert [step.shape[1] for step in steps] == [3, 3, 2, 3]
    latent = run(vae, variables, latent, "denormalize")
    features = [
        run(vae, variables, latent[:, part], "decode_features")
        for part in (slice(0, 2), slice(2, 3))
    ]
    # The frame that 11 lacks to 12 is the first of the last window.
    features = jnp.concatenate([features[0], features[1][:, 1:]], axis=1)
    expected = run(vae, variables, features, "decode_pixels")
    assert relative_error(jnp.concatenate(steps, axis=1), expected) < PARITY


def test_large_frames_come_alone_and_every_device_has_some():
    assert [windows.default_step(side, side, 8, devices=1) for side in (8, 64, 90, 200)] == [
        4,
        4,
        2,
        1,
    ]
    assert windows.default_step(90, 160, 8, devices=8) == 8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_frames": 16}, "num_frames=16 needs 4 latents of 4 frames, but there are 2"),
        ({"num_frames": 0}, "num_frames=0"),
    ],
)
def test_wrong_requests_are_refused_before_anything_runs(tiny, arguments, message):
    with pytest.raises(ValueError, match=message):
        windows.decode_in_steps(*tiny, smooth(2, 4, 4, 3), **arguments)
