# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Whole videos through the Wan VAE in bounded memory: a latent at a time, and tile by tile.

`nn/wan/streaming.py` does the same in one program for a video in the device's memory. Here the
device holds the frames of one latent, and tiles are assembled in host memory.
"""

import functools
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mugv_jax.axes import Array, Float
from mugv_jax.nn.wan import streaming
from mugv_jax.nn.wan.vae import WanVAE
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
    canvas = np.zeros((batch, 1 + frames // factor, *size, vae.config.latent_channels), np.float32)
    for tile in tiles_of(*size, tiling, zoom=1):
        part = pixels[:, :, zoomed(tile.rows, zoom), zoomed(tile.columns, zoom)]
        for number, z in enumerate(_parts(vae, variables, part, factor, "encode")):
            canvas[:, number : number + 1, tile.rows, tile.columns] += tile.weight * z
    return canvas


def decode_in_steps(
    vae: WanVAE, variables: Any, latent: HostArray, *, tiling: Tiling | None = None
) -> Iterator[HostArray]:
    """Pixels, nominally in [-1, 1], of a normalised latent: the first frame, then 4 at a time."""
    zoom, factor = vae.config.spatial_factor, vae.config.time_factor
    batch, latents, height, width = latent.shape[:4]
    tiles = tiles_of(height, width, tiling, zoom=zoom)
    if len(tiles) == 1:
        yield from _parts(vae, variables, latent, 1, "decode")
        return
    frames = 1 + factor * (latents - 1)
    canvas = np.zeros((batch, frames, zoom * height, zoom * width, 3), np.float32)
    for tile in tiles:
        rows, columns = zoomed(tile.rows, zoom), zoomed(tile.columns, zoom)
        end = 0
        part = latent[:, :, tile.rows, tile.columns]
        for pixels in _parts(vae, variables, part, 1, "decode"):
            start, end = end, end + pixels.shape[1]
            canvas[:, start:end, rows, columns] += tile.weight * pixels
    yield canvas


def _parts(
    vae: WanVAE, variables: Any, x: HostArray, size: int, method: str
) -> Iterator[HostArray]:
    """Outputs of the VAE for the first frame or latent, then for `size` of them at a time."""
    y, cache = _first(vae, method, variables, jnp.asarray(x[:, :1]))
    yield np.asarray(y, np.float32)
    for start in range(1, x.shape[1], size):
        y, cache = _next(vae, method, variables, cache, jnp.asarray(x[:, start : start + size]))
        yield np.asarray(y, np.float32)


@functools.partial(jax.jit, static_argnames=("vae", "method"))
def _first(vae: WanVAE, method: str, variables: Any, x: Array) -> tuple[Array, Any]:
    return streaming.first_part(vae, variables, x, method)


@functools.partial(jax.jit, static_argnames=("vae", "method"), donate_argnames="cache")
def _next(vae: WanVAE, method: str, variables: Any, cache: Any, x: Array) -> tuple[Array, Any]:
    return streaming.next_part(vae, variables, cache, x, method)
