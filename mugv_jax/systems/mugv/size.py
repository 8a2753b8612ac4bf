# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Size of a video in pixels and frames, and on the latent grid of the 8x8x8 VAE."""

import dataclasses
from collections.abc import Mapping

from mugv_jax.nn.dit.rope import MAX_FRAMES, MAX_ROWS

STRIDE = 8  # of the VAE, in rows, columns and frames
FRAMES = {"3s": 73, "5s": 105}
MAX_SIDE_PX = MAX_ROWS * 2 * STRIDE  # one row of tokens is two of latents
LONGEST = (MAX_FRAMES - 3) * STRIDE + 1  # two positions are the start and end tokens'

# Width x height. The released code keys the same five by height:width ("16:9" is its portrait), and
# two of them (832 x 1108, 1110 x 832) do not lie on the VAE's grid: here they are cut to it.
SIZES = {
    "portrait": (720, 1280),
    "portrait-3x4": (832, 1104),
    "square": (960, 960),
    "landscape-4x3": (1104, 832),
    "landscape": (1280, 720),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class VideoSize:
    """Width and height in pixels (multiples of 8) and frames (8k+1: an image and k groups, or 8k).

    Raises:
        ValueError: a size off the grid, naming the nearest valid ones, or past the model's tables.
    """

    width_px: int
    height_px: int
    frames: int

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

    @property
    def latent_frames(self) -> int:
        return -(-self.frames // STRIDE)

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """(f, h, w) of the latent."""
        return self.latent_frames, self.height_px // STRIDE, self.width_px // STRIDE

    def latent_index(self, frame: int) -> int:
        """The latent frame that covers frame number `frame` (from 0; negative from the end).

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


def nearest(value: int, offset: int, stride: int) -> str:
    """The members of stride k + offset on both sides of `value`, the smallest alone below it."""
    smallest = offset or stride
    low = (value - offset) // stride * stride + offset
    if low < smallest:
        return f"the nearest is {smallest}"
    return f"the nearest are {low} and {low + stride}"


def parse_size(text: str, sizes: Mapping[str, tuple[int, int]] = SIZES) -> tuple[int, int]:
    """(width, height) in pixels from "1280x720" (width first) or a name in `sizes`.

    Raises:
        ValueError: text of another form.
    """
    if text in sizes:
        return sizes[text]
    width, x, height = text.lower().partition("x")
    if not x or not width.isdecimal() or not height.isdecimal():
        names = ", ".join(f"{name} ({w}x{h})" for name, (w, h) in sizes.items())
        raise ValueError(f"size {text!r} must be WIDTHxHEIGHT such as 1280x720, or one of {names}.")
    return int(width), int(height)


def parse_frames(text: str) -> int:
    """Frames from a number or a published length ("3s", "5s").

    Raises:
        ValueError: text of another form.
    """
    if text in FRAMES:
        return FRAMES[text]
    try:
        return int(text)
    except ValueError:
        names = ", ".join(f"{name} ({count})" for name, count in FRAMES.items())
        raise ValueError(
            f"frames {text!r} must be a whole number of the form 8k+1, or one of {names}."
        ) from None
