# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import functools

import einops
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mugv_jax.nn.vae.autoencoder import VideoVAE
from mugv_jax.nn.vae.sizes import VAEConfig
from mugv_jax.systems import tiles
from mugv_jax.systems.mugv import windows
from mugv_jax.weights.random import random_variables
from mugv_jax.weights.registry import abstract_variables

# The published code itself is 1e-6 to 3e-6 away from a float64 evaluation.
PARITY = 1e-5
# The same few sums in another order.
ROUNDING = 1e-6

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


def test_a_tile_as_large_as_the_frame_is_the_frame(tiny):
    vae, variables = tiny
    latent = smooth(1, 6, 5, 3)
    tiling = windows.Tiling(rows=6, columns=8, overlap=2)
    np.testing.assert_array_equal(
        windows.decode(vae, variables, latent, tiling=tiling),
        windows.decode(vae, variables, latent),
    )
    pixels = smooth(4, 12, 10, 3)
    np.testing.assert_array_equal(
        windows.encode(vae, variables, pixels, tiling=tiling),
        windows.encode(vae, variables, pixels),
    )


class LocalVAE(VideoVAE):
    """VAE with the sizes of the video VAE whose pixels do not depend on each other."""

    def encode_features(self, pixels):
        return einops.reduce(pixels, "b f (h p) (w q) c -> b f h w c", "mean", p=2, q=2)

    def encode_moments(self, features):
        mean = einops.reduce(features, "b (g f) h w c -> b g h w c", "mean", f=4)
        return mean, jnp.zeros_like(mean)

    def decode_features(self, latent):
        return einops.repeat(latent, "b f h w c -> b (f four) h w c", four=4)

    def decode_pixels(self, features):
        return einops.repeat(features, "b f h w c -> b f (h p) (w q) c", p=2, q=2)


@pytest.mark.parametrize(("size", "tile"), [((24, 18), (10, 12)), ((9, 31), (8, 8))])
def test_tiles_of_a_local_vae_blend_into_exactly_the_whole(tiny, size, tile):
    vae, variables = LocalVAE(TINY, jnp.float32), tiny[1]
    tiling = windows.Tiling(rows=tile[0], columns=tile[1], overlap=4)
    latent = smooth(3, *size, 3)
    tiled = windows.decode(vae, variables, latent, tiling=tiling)
    assert relative_error(tiled, windows.decode(vae, variables, latent)) < ROUNDING
    tiled = windows.encode(vae, variables, jnp.asarray(tiled), tiling=tiling)
    assert relative_error(tiled, latent) < ROUNDING


def test_larger_tiles_come_closer_to_the_whole(tiny):
    """GroupNorm and attention see one tile, so tiles never equal the whole exactly."""
    vae, variables = tiny
    latent = jnp.tile(smooth(1, 4, 4, 3), (1, 1, 6, 4, 1))
    whole = windows.decode(vae, variables, latent)
    small, large = (
        windows.decode(vae, variables, latent, tiling=windows.Tiling(rows=rows, columns=16))
        for rows in (8, 20)
    )
    assert relative_error(large, whole) < relative_error(small, whole) / 2


@pytest.mark.parametrize(
    ("size", "span", "overlap"), [(24, 10, 4), (7, 4, 2), (9, 4, 0), (5, 8, 3)]
)
def test_ramps_sum_to_one_and_rise_linearly(size, span, overlap):
    spans = tiles.spans_of(size, span, overlap)
    assert spans[0].start == 0
    assert spans[-1].stop == size
    assert {s.stop - s.start for s in spans} == {min(span, size)}
    total = np.zeros(2 * size)
    for s, ramp in zip(spans, tiles.ramps(spans, overlap, zoom=2), strict=True):
        total[2 * s.start : 2 * s.stop] += ramp
        assert ramp.min() > 0
    np.testing.assert_allclose(total, 1)
    if (size, span, overlap) == (24, 10, 4):
        rise = tiles.ramps(spans, overlap, zoom=1)[1][:4]
        np.testing.assert_allclose(rise, [1 / 8, 3 / 8, 5 / 8, 7 / 8])


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


def test_tiles_that_would_not_advance_are_refused():
    with pytest.raises(ValueError, match="overlap=5 must be between 0 and half of a tile"):
        windows.Tiling(rows=8, columns=16, overlap=5)
