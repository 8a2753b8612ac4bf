# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Whole videos through the Wan VAE in bounded memory: a latent at a time, and tile by tile.

`nn/wan/streaming.py` does the same in one program for a video in the device's memory. Here the
device holds the frames of one latent, and tiles are assembled in host memory.

Tiles equal whole frames up to rounding. The smallest picture, where frames attend, is processed
whole; the larger ones by cells of the frame with a halo of all that their convolutions reach. The
norms look at one position only.
"""

import functools
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mugv_jax.axes import Array, Float
from mugv_jax.nn.wan import streaming
from mugv_jax.nn.wan.vae import Decoder, Encoder, WanVAE
from mugv_jax.sharding.place import on_host
from mugv_jax.systems.tiles import Tiling, tiles_of, zoomed

HostArray = Float[np.ndarray, "b _f _h _w _c"]


def encode(
    vae: WanVAE, variables: Any, pixels: HostArray, *, tiling: Tiling | None = None
) -> HostArray:
    """Normalised mean of the posterior: k + 1 latents of 4 k + 1 frames of pixels in [-1, 1].

    Raises:
        ValueError: another number of frames, or a picture off the grid.
    """
    zoom, factor = vae.config.spatial_factor, vae.config.time_factor
    streaming.check_frames(vae, pixels.shape[1])
    batch, frames, height, width = pixels.shape[:4]
    if height % zoom or width % zoom:
        raise ValueError(f"{width}x{height} pixels must be multiples of {zoom} on both sides.")
    size = height // zoom, width // zoom
    tiles = tiles_of(*size, tiling, halo=Encoder.halo(vae.config))
    if len(tiles) == 1:
        return np.concatenate(list(_parts(vae, variables, pixels, factor, "encode")), axis=1)
    features = np.zeros((batch, 1 + frames // factor, *size, vae.config.widths[-2]), np.float32)
    for tile in tiles:
        part = pixels[:, :, *zoomed(tile.outer, zoom)]
        for number, x in enumerate(_parts(vae, variables, part, factor, "encode_large")):
            features[:, number, *tile.cell] = x[:, 0, *tile.inner]
    return np.concatenate(list(_parts(vae, variables, features, 1, "encode_small")), axis=1)


def decode_in_steps(
    vae: WanVAE, variables: Any, latent: HostArray, *, tiling: Tiling | None = None
) -> Iterator[HostArray]:
    """Pixels, nominally in [-1, 1], of a normalised latent: the first frame, then 4 at a time.

    In tiles, all frames come at once.
    """
    zoom, factor = vae.config.spatial_factor, vae.config.time_factor
    batch, latents, height, width = latent.shape[:4]
    tiles = tiles_of(height, width, tiling, halo=Decoder.halo(vae.config))
    if len(tiles) == 1:
        yield from _parts(vae, variables, latent, 1, "decode")
        return
    features = np.concatenate(list(_parts(vae, variables, latent, 1, "decode_small")), axis=1)
    frames = 1 + factor * (latents - 1)
    pixels = np.empty((batch, frames, zoom * height, zoom * width, 3), np.float32)
    for tile in tiles:
        end = 0
        for x in _parts(vae, variables, features[:, :, *tile.outer], 1, "decode_large"):
            start, end = end, end + x.shape[1]
            inside = x[:, :, *zoomed(tile.inner, zoom)]
            pixels[:, start:end, *zoomed(tile.cell, zoom)] = inside
    yield pixels


def _parts(
    vae: WanVAE, variables: Any, x: HostArray, size: int, method: str
) -> Iterator[HostArray]:
    """Outputs of the VAE for the first frame or latent, then for `size` of them at a time."""
    y, cache = _first(vae, method, variables, jnp.asarray(x[:, :1]))
    yield on_host(y).astype(np.float32, copy=False)
    for start in range(1, x.shape[1], size):
        y, cache = _next(vae, method, variables, cache, jnp.asarray(x[:, start : start + size]))
        yield on_host(y).astype(np.float32, copy=False)


@functools.partial(jax.jit, static_argnames=("vae", "method"))
def _first(vae: WanVAE, method: str, variables: Any, x: Array) -> tuple[Array, Any]:
    return streaming.first_part(vae, variables, x, method)


@functools.partial(jax.jit, static_argnames=("vae", "method"), donate_argnames="cache")
def _next(vae: WanVAE, method: str, variables: Any, cache: Any, x: Array) -> tuple[Array, Any]:
    return streaming.next_part(vae, variables, cache, x, method)
