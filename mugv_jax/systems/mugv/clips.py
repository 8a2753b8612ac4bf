# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Conversion of uint8 frames to latents and back, several videos at a time."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import UInt8

from mugv_jax import video
from mugv_jax.axes import Array, Float, Frames
from mugv_jax.nn.vae.autoencoder import VideoVAE
from mugv_jax.nn.vae.tiny import AnyDecoder
from mugv_jax.sharding.place import on_host
from mugv_jax.systems.frames import Videos
from mugv_jax.systems.mugv import windows
from mugv_jax.systems.sampling import groups
from mugv_jax.systems.tiles import Tiling


def encode_clips(
    vae: VideoVAE, variables: Any, clips: Sequence[Frames], *, rows: int, tiling: Tiling | None
) -> list[Float[np.ndarray, "_f h w c"]]:
    """Latent of each clip (f, h, w, 3): the posterior's mean.

    rows: clips of one length that are encoded together; the last group is filled up with copies, so
        that one program serves all groups.
    """
    by_length = defaultdict(list)
    for number, clip in enumerate(clips):
        by_length[len(clip)].append(number)
    latents: dict[int, np.ndarray] = {}
    for numbers in by_length.values():
        for group in groups(len(numbers), rows if len(numbers) > 1 else 1):
            chosen = [numbers[row] for row in group]
            pixels = video.to_pixels(np.stack([clips[number] for number in chosen]))
            encoded = windows.encode(vae, variables, jnp.asarray(pixels), tiling=tiling)
            latents |= zip(chosen, on_host(encoded).astype(np.float32, copy=False))
    return [latents[number] for number in range(len(clips))]


def decode_frames(
    vae: AnyDecoder,
    variables: Any,
    latent: Float[Array | np.ndarray, "b f h w c"],
    *,
    starts_with_image: bool,
    first: UInt8[np.ndarray, "b 1 _h _w 3"] | None = None,
    tiling: Tiling | None = None,
) -> Iterator[Videos]:
    """Decoded frames of normalised latents, a few at a time.

    starts_with_image: latent frame 0 stands for one frame, not for a group of 8.
    first: frame 0 of each video, if it is known; it is then not decoded.
    """

    def decode(part: Array | np.ndarray) -> Iterator[Videos]:
        pixels = windows.decode_in_steps(vae, variables, jnp.asarray(part), tiling=tiling)
        return (video.to_frames(on_host(chunk)) for chunk in pixels)

    if starts_with_image:
        # Latent 0 stands for 8 copies of one frame: it is decoded alone, and the last copy kept.
        yield list(decode(latent[:, :1]))[-1][:, -1:] if first is None else first
        latent = latent[:, 1:]
    if latent.shape[1]:
        yield from decode(latent)
