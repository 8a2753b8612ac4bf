# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Sizes of MUG-V's videos in pixels and frames, and on the latent grid of its 8x8x8 VAE."""

import dataclasses
import functools

from mugv_jax.cost.memory.plan import Size
from mugv_jax.nn.dit.rope import MAX_FRAMES, MAX_ROWS
from mugv_jax.systems import sizes
from mugv_jax.systems.sizes import nearest

STRIDE = 8  # stride of the VAE in rows, columns and frames
MAX_TOKENS = 300  # length to which every prompt is padded
FRAMES = {"3s": 73, "5s": 105}
MAX_SIDE_PX = MAX_ROWS * 2 * STRIDE  # one row of tokens is two of latents
LONGEST = (MAX_FRAMES - 3) * STRIDE + 1  # start and end token take two positions

# Width x height. The released code keys the same five by height:width ("16:9" is its portrait), and
# two of them (832 x 1108, 1110 x 832) do not lie on the VAE's grid: here they are reduced to it.
SIZES = {
    "portrait": (720, 1280),
    "portrait-3x4": (832, 1104),
    "square": (960, 960),
    "landscape-4x3": (1104, 832),
    "landscape": (1280, 720),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class VideoSize(Size):
    """Size of a video: multiples of 8 pixels, 8k+1 frames (a first one and k groups) or 8k.

    Raises:
        ValueError: a size off the grid, naming the nearest valid ones, or past the model's tables.
    """

    SPATIAL, TEMPORAL = STRIDE, STRIDE
    FRAMES_FORM, VAE = "8k+1", "the video VAE"

    def __post_init__(self):
        for name, value in (("width", self.width_px), ("height", self.height_px)):
            if value > MAX_SIDE_PX:
                raise ValueError(
                    f"{name}={value} is past the model's position table: use at most "
                    f"{MAX_SIDE_PX} pixels."
                )
            if value < STRIDE or value % STRIDE:
                raise ValueError(
                    f"{name}={value} must be a positive multiple of {STRIDE} (the VAE's grid): "
                    f"{nearest(value, 0, STRIDE)}."
                )
        if self.frames > LONGEST:
            raise ValueError(
                f"frames={self.frames} is past the model's position table: use at most "
                f"{LONGEST} frames."
            )
        if self.frames < 1 or self.frames % STRIDE not in (0, 1):
            raise ValueError(
                f"frames={self.frames} must be 8k+1 (a first frame, then groups of 8) or 8k "
                f"(groups alone): of the first kind {nearest(self.frames, 1, STRIDE)}."
            )

    @property
    def starts_with_image(self) -> bool:
        """Whether latent frame 0 stands for a single frame (8k+1), not for a group of 8."""
        return self.frames % STRIDE == 1

    def latent_index(self, frame: int) -> int:
        """Number of the latent frame that covers frame `frame` (from 0; negative from the end).

        Raises:
            ValueError: no such frame.
        """
        if not -self.frames <= frame < self.frames:
            raise ValueError(
                f"frame {frame} does not exist in a video of {self.frames} frames: "
                f"use 0 .. {self.frames - 1}, or negative numbers from the end."
            )
        frame %= self.frames
        return -(-frame // STRIDE) if self.starts_with_image else frame // STRIDE

    def frames_of(self, latent: int) -> tuple[int, int]:
        """First and last frame that latent frame `latent` stands for."""
        last = latent * STRIDE if self.starts_with_image else latent * STRIDE + STRIDE - 1
        return max(0, last - STRIDE + 1), last


# See `systems/sizes.py`: (width, height) of a text, and number of frames of a text.
parse_size = functools.partial(sizes.parse_size, sizes=SIZES)
parse_frames = functools.partial(sizes.parse_frames, lengths=FRAMES, form=VideoSize.FRAMES_FORM)
