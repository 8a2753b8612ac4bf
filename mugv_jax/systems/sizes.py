# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Sizes of videos as users write them ("1280x720", "5s"), and on the Wan VAE's grid (4x8x8)."""

import dataclasses
import operator
from collections.abc import Mapping
from typing import Any

from mugv_jax.cost.memory.plan import Size

NamedSizes = Mapping[str, tuple[int, int]]  # name -> (width, height) in pixels
NamedLengths = Mapping[str, int]  # name -> frames


def parse_size(text: str, sizes: NamedSizes) -> tuple[int, int]:
    """(width, height) in pixels from "1280x720" (width first) or a name in `sizes`.

    Raises:
        ValueError: text of another form.
    """
    if text in sizes:
        return sizes[text]
    width, x, height = text.lower().partition("x")
    if not x or not width.isdecimal() or not height.isdecimal():
        raise ValueError(
            f"size {text!r} must be WIDTHxHEIGHT such as 1280x720, or one of {listed(sizes)}."
        )
    return int(width), int(height)


def pair_of(size: Any) -> tuple[int, int]:
    """(width, height) in pixels from a pair of whole numbers.

    Raises:
        ValueError: something else.
    """
    try:
        width, height = map(operator.index, size)
    except (TypeError, ValueError):
        raise ValueError(
            f"size={size!r} must be (width, height) in pixels, or a text such as '1280x720'."
        ) from None
    return width, height


def parse_frames(text: str, lengths: NamedLengths, form: str) -> int:
    """Frames from a number or a name in `lengths`.

    form: the numbers of frames that are valid, such as "8k+1", for the message.

    Raises:
        ValueError: text of another form.
    """
    if text in lengths:
        return lengths[text]
    try:
        return int(text)
    except ValueError:
        names = ", ".join(f"{name} ({count})" for name, count in lengths.items())
        raise ValueError(
            f"frames {text!r} must be a whole number of the form {form}, or one of {names}."
        ) from None


def listed(sizes: NamedSizes) -> str:
    """Names of sizes with their pixels, such as "square (960x960)"."""
    return ", ".join(f"{name} ({width}x{height})" for name, (width, height) in sizes.items())


def nearest(value: int, offset: int, stride: int) -> str:
    """The two numbers of the form stride k + offset around `value`, as the end of a message.

    Below the smallest of them that one is named alone.
    """
    smallest = offset or stride
    low = (value - offset) // stride * stride + offset
    if low < smallest:
        return f"the nearest is {smallest}"
    return f"the nearest are {low} and {low + stride}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class WanSize(Size):
    """Width and height in pixels, multiples of 16, and 4k+1 frames.

    A system whose VAE has another stride derives a class with another `SPATIAL`.

    Raises:
        ValueError: a size off the grid, naming the nearest valid ones.
    """

    SPATIAL, TEMPORAL = 8, 4
    FRAMES_FORM, VAE = "4k+1", "the Wan VAE"

    def __post_init__(self):
        stride_px = 2 * self.SPATIAL  # a token covers two rows and two columns of latents
        for name, value in (("width", self.width_px), ("height", self.height_px)):
            if value < stride_px or value % stride_px:
                raise ValueError(
                    f"{name}={value} must be a positive multiple of {stride_px} (a token's side): "
                    f"{nearest(value, 0, stride_px)}."
                )
        if self.frames < 1 or self.frames % self.TEMPORAL != 1:
            raise ValueError(
                f"frames={self.frames} must be 4k+1 (a first frame, then groups of 4): "
                f"{nearest(self.frames, 1, self.TEMPORAL)}."
            )
