# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Sizes of videos as users write them: "1280x720", a name, "5s"."""

from collections.abc import Mapping

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
