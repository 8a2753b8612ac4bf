# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Whole videos through the video VAE, in bounded memory.

The temporal half processes windows of frames, as published, and the spatial half a few frames at
a time. If a frame is still too large, both process overlapping tiles, which are blended together.
"""

import functools
import math
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mugv_jax.axes import Array, Float, Latent, Pixels
from mugv_jax.nn.vae.autoencoder import Features, VideoVAE
from mugv_jax.systems.tiles import Tile, Tiling, tiles_of, zoomed

Variables = Mapping[str, Any]

# One frame of 720p is work enough for a device; four at once took 20 GB to decode, not 5.
STEP_PIXELS = 2**20
MOST_FRAMES = 4


@functools.partial(jax.jit, donate_argnames="canvas")
def _paint(
    canvas: Float[Array, "b f h w c"],
    tile: Float[Array, "b f h2 w2 c"],
    weight: Float[Array, "h2 w2 1"],
    row: int | Array,
    column: int | Array,
) -> Float[Array, "b f h w c"]:
    """`canvas` plus the weighted tile at (row, column)."""
    start = (0, 0, row, column, 0)
    below = jax.lax.dynamic_slice(canvas, start, tile.shape)
    return jax.lax.dynamic_update_slice(canvas, below + tile * weight[None, None], start)


@functools.partial(jax.jit, static_argnames=("vae", "method"))
def _apply(vae: VideoVAE, method: str, variables: Variables, x: Array) -> Any:
    return vae.apply(variables, x, method=method)


def default_step(rows: int, columns: int, zoom: int, devices: int) -> int:
    """Number of frames, or of tiles of rows x columns latents, in a spatial step."""
    of_device = STEP_PIXELS // (rows * columns * zoom**2)
    return devices * min(max(of_device, 1), MOST_FRAMES)


def _step(frames: int, tile: Tile, zoom: int) -> int:
    rows, columns = (span.stop - span.start for span in (tile.rows, tile.columns))
    devices = math.prod(jax.sharding.get_abstract_mesh().shape.values())
    return min(default_step(rows, columns, zoom, devices), frames)


def _in_steps(x: Float[Array, "b f ..."], step: int) -> Iterator[tuple[Array, int]]:
    """Groups of `step` frames, the last one padded, and the number of valid frames in each."""
    frames = x.shape[1]
    x = jnp.pad(x, [(0, 0), (0, -frames % step), *[(0, 0)] * (x.ndim - 2)])
    for start in range(0, frames, step):
        yield jax.lax.dynamic_slice_in_dim(x, start, step, axis=1), min(step, frames - start)


def _encode_tile(
    vae: VideoVAE, variables: Variables, pixels: Pixels, step: int
) -> tuple[Latent, Latent]:
    """Moments of a video of one tile, window by window."""
    frames, window = pixels.shape[1], vae.config.window_frames
    lead = vae.config.time_factor - 1 if frames % vae.config.time_factor == 1 else 0
    moments = []
    for start in range(-lead, frames, window):
        chunk = pixels[:, max(start, 0) : start + window]
        features = [
            _apply(vae, "encode_features", variables, part)[:, :count]
            for part, count in _in_steps(chunk, step)
        ]
        if start < 0:
            features = [features[0][:, :1]] * lead + features
        features = jnp.concatenate(features, axis=1)
        moments.append(_apply(vae, "encode_moments", variables, features))
    mean, log_variance = (jnp.concatenate(part, axis=1) for part in zip(*moments, strict=True))
    return mean, log_variance


def encode(
    vae: VideoVAE,
    variables: Variables,
    pixels: Pixels,
    key: Array | None = None,
    *,
    tiling: Tiling | None = None,
) -> Latent:
    """Normalised latent of a video of pixels in [-1, 1]: the posterior's mean, or a sample of it.

    A video of 8 k + 1 frames repeats the features of its first frame 7 times in front; otherwise
    the last window is zero padded in front. A single picture is a video of one frame.

    key: samples the posterior; without it the mean is returned.

    Raises:
        ValueError: a picture off the grid.
    """
    vae.config.check_picture(*pixels.shape[2:4])
    zoom = vae.config.spatial_factor
    height, width = (size // zoom for size in pixels.shape[2:4])
    tiles = tiles_of(height, width, tiling, zoom=1)
    step = _step(pixels.shape[1], tiles[0], zoom)
    frames = -(-pixels.shape[1] // vae.config.time_factor)
    shape = (len(pixels), frames, height, width, vae.config.latent_channels)
    canvases = [jnp.zeros(shape) for _ in range(2)]
    for tile in tiles:
        part = pixels[:, :, zoomed(tile.rows, zoom), zoomed(tile.columns, zoom)]
        moments = _encode_tile(vae, variables, part, step)
        canvases = [
            _paint(canvas, moment, tile.weight, tile.rows.start, tile.columns.start)
            for canvas, moment in zip(canvases, moments, strict=True)
        ]
    mean, log_variance = canvases
    if key is not None:
        noise = jax.random.normal(key, mean.shape, mean.dtype)
        mean = mean + jnp.exp(0.5 * log_variance) * noise
    return _apply(vae, "normalize", variables, mean)


def decode(
    vae: VideoVAE,
    variables: Variables,
    latent: Latent,
    num_frames: int | None = None,
    *,
    tiling: Tiling | None = None,
) -> Float[np.ndarray, "b _f _h _w 3"]:
    """Result of `decode_in_steps`, which see, gathered in host memory."""
    steps = decode_in_steps(vae, variables, latent, num_frames, tiling=tiling)
    return np.concatenate([np.asarray(pixels) for pixels in steps], axis=1)


def decode_in_steps(
    vae: VideoVAE,
    variables: Variables,
    latent: Latent,
    num_frames: int | None = None,
    *,
    tiling: Tiling | None = None,
) -> Iterator[Pixels]:
    """Pixels, nominally in [-1, 1], of a normalised latent, a few frames at a time.

    A window whose frame count is not a multiple of 8 loses its padding frames at its front, as in
    the published `decode(z, num_frames)`; by default there is none.

    Raises:
        ValueError: another number of latents than `num_frames` needs.
    """
    time_factor = vae.config.time_factor
    frames = latent.shape[1] * time_factor if num_frames is None else num_frames
    if -(-frames // time_factor) != latent.shape[1]:
        raise ValueError(
            f"num_frames={frames} needs {max(0, -(-frames // time_factor))} latents of "
            f"{time_factor} frames, but there are {latent.shape[1]}; the nearest number of frames "
            f"is {latent.shape[1] * time_factor}."
        )
    height, width = latent.shape[2:4]
    tiles = tiles_of(height, width, tiling, zoom=vae.config.spatial_factor)
    step = _step(frames, tiles[0], vae.config.spatial_factor)
    return _decode_windows(vae, variables, latent, frames, tiles, step)


def _decode_windows(
    vae: VideoVAE,
    variables: Variables,
    latent: Latent,
    frames: int,
    tiles: list[Tile],
    step: int,
) -> Iterator[Pixels]:
    config = vae.config
    latent = _apply(vae, "denormalize", variables, latent)
    for start in range(0, latent.shape[1], config.window_latents):
        window = latent[:, start : start + config.window_latents]
        left = frames - start * config.time_factor
        drop = -min(left, config.window_frames) % config.time_factor
        features = (
            _apply(vae, "decode_features", variables, window[:, :, tile.rows, tile.columns])
            for tile in tiles
        )
        for parts in zip(*(_in_steps(part[:, drop:], step) for part in features), strict=True):
            yield _decode_pixels(vae, variables, parts, tiles, latent.shape[2:4])


def _decode_pixels(
    vae: VideoVAE,
    variables: Variables,
    parts: tuple[tuple[Features, int], ...],
    tiles: list[Tile],
    size: tuple[int, ...],
) -> Pixels:
    """Pixels of a few frames, assembled from the same frames of all tiles."""
    zoom = vae.config.spatial_factor
    features, count = parts[0]
    canvas = jnp.zeros((*features.shape[:2], size[0] * zoom, size[1] * zoom, 3))
    for (features, _), tile in zip(parts, tiles, strict=True):
        pixels = _apply(vae, "decode_pixels", variables, features)
        row, column = tile.rows.start * zoom, tile.columns.start * zoom
        canvas = _paint(canvas, pixels, tile.weight, row, column)
    return canvas[:, :count]
