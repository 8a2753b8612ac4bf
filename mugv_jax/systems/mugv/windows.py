# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Whole videos through the video VAE, in bounded memory.

The temporal half processes windows of frames, as published, and the spatial half a few frames at
a time. If a frame is still too large, the spatial half goes tile by tile (`spatial_tiles.py`): this
takes more time, and changes nothing else.
"""

import functools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mugv_jax.axes import Array, Float, Latent, Pixels
from mugv_jax.nn.vae.autoencoder import VideoVAE
from mugv_jax.nn.vae.tiny import AnyDecoder, TinyDecoder
from mugv_jax.systems.mugv import spatial_tiles
from mugv_jax.systems.tiles import Tiling

Variables = Mapping[str, Any]

# One frame of 720p is work enough for a device; four at once took 20 GB to decode, not 5.
STEP_PIXELS = 2**20
MOST_FRAMES = 4


@functools.partial(jax.jit, static_argnames=("vae", "method"))
def _apply(vae: AnyDecoder, method: str, variables: Variables, x: Array) -> Any:
    return vae.apply(variables, x, method=method)


def _apply_to_frames(
    vae: AnyDecoder, method: str, variables: Variables, x: Array, tiling: Tiling | None
) -> Array:
    """`encode_features` or `decode_pixels`, in tiles if any is smaller than the frame.

    A tiny decoder needs so little memory for a frame that it never works in tiles.
    """
    factor = vae.config.spatial_factor if method == "encode_features" else 1
    rows, columns = (side // factor for side in x.shape[2:4])
    whole = tiling is None or (tiling.rows >= rows and tiling.columns >= columns)
    if whole or isinstance(vae, TinyDecoder):
        return _apply(vae, method, variables, x)
    return getattr(spatial_tiles, method)(vae, variables, x, tiling)


def default_step(rows: int, columns: int, zoom: int, devices: int) -> int:
    """Number of frames of rows x columns latents in a spatial step."""
    of_device = STEP_PIXELS // (rows * columns * zoom**2)
    return devices * min(max(of_device, 1), MOST_FRAMES)


def _step(frames: int, sides: Sequence[int], zoom: int) -> int:
    rows, columns = sides
    devices = math.prod(jax.sharding.get_abstract_mesh().shape.values())
    return min(default_step(rows, columns, zoom, devices), frames)


def _in_steps(x: Float[Array, "b f ..."], step: int) -> Iterator[tuple[Array, int]]:
    """Groups of `step` frames, the last one padded, and the number of valid frames in each."""
    frames = x.shape[1]
    x = jnp.pad(x, [(0, 0), (0, -frames % step), *[(0, 0)] * (x.ndim - 2)])
    for start in range(0, frames, step):
        yield jax.lax.dynamic_slice_in_dim(x, start, step, axis=1), min(step, frames - start)


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
    tiling: the spatial half goes tile by tile; the result is the same.

    Raises:
        ValueError: a picture off the grid.
    """
    vae.config.check_picture(*pixels.shape[2:4])
    zoom, factor = vae.config.spatial_factor, vae.config.time_factor
    frames, window = pixels.shape[1], vae.config.window_frames
    step = _step(frames, [side // zoom for side in pixels.shape[2:4]], zoom)
    lead = factor - 1 if frames % factor == 1 else 0
    moments = []
    for start in range(-lead, frames, window):
        chunk = pixels[:, max(start, 0) : start + window]
        features = [
            _apply_to_frames(vae, "encode_features", variables, part, tiling)[:, :count]
            for part, count in _in_steps(chunk, step)
        ]
        if start < 0:
            features = [features[0][:, :1]] * lead + features
        features = jnp.concatenate(features, axis=1)
        moments.append(_apply(vae, "encode_moments", variables, features))
    mean, log_variance = (jnp.concatenate(part, axis=1) for part in zip(*moments, strict=True))
    if key is not None:
        noise = jax.random.normal(key, mean.shape, mean.dtype)
        mean = mean + jnp.exp(0.5 * log_variance) * noise
    return _apply(vae, "normalize", variables, mean)


def decode(
    vae: AnyDecoder,
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
    vae: AnyDecoder,
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
    step = _step(frames, latent.shape[2:4], vae.config.spatial_factor)
    return _decode_windows(vae, variables, latent, frames, tiling, step)


def _decode_windows(
    vae: AnyDecoder,
    variables: Variables,
    latent: Latent,
    frames: int,
    tiling: Tiling | None,
    step: int,
) -> Iterator[Pixels]:
    config = vae.config
    latent = _apply(vae, "denormalize", variables, latent)
    for start in range(0, latent.shape[1], config.window_latents):
        window = latent[:, start : start + config.window_latents]
        left = frames - start * config.time_factor
        drop = -min(left, config.window_frames) % config.time_factor
        features = _apply(vae, "decode_features", variables, window)[:, drop:]
        for part, count in _in_steps(features, step):
            pixels = _apply_to_frames(vae, "decode_pixels", variables, part, tiling)
            yield pixels[:, :count]
