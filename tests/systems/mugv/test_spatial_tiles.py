# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Tiles of the video VAE against whole frames."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from mugv_jax.nn.vae.autoencoder import VideoVAE
from mugv_jax.nn.vae.sizes import VAEConfig
from mugv_jax.sharding.mesh import make_mesh, use
from mugv_jax.systems.mugv import spatial_tiles, windows
from mugv_jax.systems.mugv.windows import Tiling
from mugv_jax.weights.random import random_variables
from mugv_jax.weights.registry import abstract_variables
from tests.nn.test_vae import relative_error

# The same float32 sums in another order: whole frames are as far from a float64 evaluation.
ROUNDING = 5e-6
# Statistics that differ in their last bit turn the rounding of a few values to 8 bits of mantissa.
BFLOAT16 = 5e-3

# Three scales: the smallest is always whole.
TINY = VAEConfig(
    spatial_channels=(8, 12, 16),
    spatial_layers=1,
    temporal_filters=8,
    temporal_multipliers=(1, 1),
    temporal_layers=1,
    latent_channels=3,
    window_frames=4,
)


# Two scales, and the first block of a scale is not its last.
DEEPER = dataclasses.replace(TINY, spatial_channels=(8, 16), spatial_layers=2)


def drawn(config: VAEConfig):
    return random_variables(abstract_variables("mugv_vae", config), seed=0)


@pytest.fixture(scope="module")
def variables():
    return drawn(TINY)


def clip(frames: int, rows: int, columns: int) -> jax.Array:
    """Noise that is brighter towards one corner: no two tiles have the same statistics."""
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (1, frames, rows, columns, 3))
    ramp = np.linspace(-0.5, 0.5, rows)[:, None, None] * np.linspace(0, 1, columns)[:, None]
    return jnp.asarray(noise + ramp, jnp.float32)


def latent_of(frames: int, rows: int, columns: int) -> jax.Array:
    shape = (1, frames, rows, columns, TINY.latent_channels)
    return jnp.asarray(np.random.default_rng(1).normal(size=shape), jnp.float32)


def both_ways(vae, variables, pixels, **options):
    """Latent of the pixels, and pixels of another latent, which does not depend on the options."""
    encoded = windows.encode(vae, variables, pixels, **options)
    latent = latent_of(*encoded.shape[1:4])
    return encoded, windows.decode(vae, variables, latent, **options)


@pytest.mark.parametrize(
    ("config", "rows", "columns", "tile"),
    [
        (TINY, 11, 9, (4, 4)),  # cells that do not divide
        (DEEPER, 8, 10, (3, 16)),  # rows only
    ],
    ids=["both axes", "rows"],
)
def test_tiles_are_whole_frames(config, rows, columns, tile, monkeypatch):
    vae, variables = VideoVAE(config, jnp.float32), drawn(config)
    tiling = Tiling(rows=tile[0], columns=tile[1])
    pixels = clip(5, config.spatial_factor * rows, config.spatial_factor * columns)
    expected = both_ways(vae, variables, pixels)
    called = []
    for name in ("encode_features", "decode_pixels"):
        run = getattr(spatial_tiles, name)
        monkeypatch.setattr(
            spatial_tiles, name, lambda *a, name=name, run=run: called.append(name) or run(*a)
        )
    found = both_ways(vae, variables, pixels, tiling=tiling)
    assert set(called) == {"encode_features", "decode_pixels"}
    for one, other in zip(found, expected, strict=True):
        assert relative_error(one, other) < ROUNDING


def test_bfloat16_is_as_exact_as_its_rounding(variables):
    vae, latent = VideoVAE(TINY, jnp.bfloat16), latent_of(4, 8, 7)
    expected = windows.decode(vae, variables, latent)
    found = windows.decode(vae, variables, latent, tiling=Tiling(rows=4, columns=4))
    assert relative_error(found, expected) < BFLOAT16


def test_frames_are_split_over_a_mesh(variables):
    vae, tiling, latent = VideoVAE(TINY, jnp.float32), Tiling(rows=4, columns=4), latent_of(2, 8, 7)
    expected = windows.decode(vae, variables, latent)
    mesh = make_mesh({"data": 2, "tensor": 2})
    with use(mesh):
        found = windows.decode(vae, variables, latent, tiling=tiling)
        module, own = vae.bind(variables).spatial_decoder.unbind()
        split = NamedSharding(mesh, PartitionSpec(("data", "tensor")))
        pictures = jax.ShapeDtypeStruct((4, 32, 28, 8), jnp.float32, sharding=split)
        text = (
            spatial_tiles._run_part.lower(module, 4, own, pictures, tiling, 8).compile().as_text()
        )
    assert relative_error(found, expected) < ROUNDING
    # A device holds pictures of its own frame only.
    assert "f32[1,32,28,8]" in text
    assert "f32[4,32,28,8]" not in text


def test_a_tile_as_large_as_the_frame_is_the_frame(variables):
    vae, pixels = VideoVAE(TINY, jnp.float32), clip(4, 24, 20)
    expected = both_ways(vae, variables, pixels)
    found = both_ways(vae, variables, pixels, tiling=Tiling(rows=6, columns=8))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)
