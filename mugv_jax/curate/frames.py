# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Frames of a part of a video: those with given numbers, or those shown at given times."""

import math
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from mugv_jax.axes import Frames
from mugv_jax.curate.packages import needed
from mugv_jax.video import timed
from mugv_jax.video.reading import decoding


class Wanted(NamedTuple):
    """Frames to keep at a size: their numbers (None: all) and their short side in pixels."""

    numbers: frozenset[int] | None
    side_px: int


def shrunk(frame: Frames, side_px: int) -> Frames:
    """Frame (h w 3) whose short side is at most `side_px`, averaged over areas; never enlarged."""
    height, width = frame.shape[:2]
    scale = side_px / min(height, width)
    if scale >= 1:
        return frame
    size = max(1, round(width * scale)), max(1, round(height * scale))
    cv2 = needed("cv2")
    return cv2.resize(frame, size, interpolation=cv2.INTER_AREA)


def numbered(
    path: str, start_s: float, end_s: float | None, wanted: Iterable[Wanted]
) -> list[dict[int, Frames]]:
    """Frames of a part of a video by their number in it, for each of `wanted`.

    A frame that nobody wants is not converted to RGB.

    Raises:
        ValueError: the file is missing or damaged.
    """
    found: list[dict[int, Frames]] = [{} for _ in wanted]
    with decoding(path, start_s=start_s, end_s=end_s) as (_, frames, rgb):
        for number, frame in enumerate(frames):
            pixels = None
            for each, kept in zip(wanted, found, strict=True):
                if each.numbers is None or number in each.numbers:
                    pixels = rgb(frame) if pixels is None else pixels
                    kept[number] = shrunk(pixels, each.side_px)
    return found


def read_frames(
    path: str, start_s: float, end_s: float | None, times: Iterable[float], side_px: int
) -> Frames:
    """Frames (k h w 3) that are shown at `times`, in seconds after `start_s`.

    Raises:
        ValueError: the file is missing or damaged, or has no frame there.
    """
    times = sorted(times)
    made: list[Frames] = []
    with decoding(path, start_s=start_s, end_s=end_s) as (stream, frames, rgb):
        rate = Fraction(stream.average_rate or stream.guessed_rate or 1)
        for time, frame in _lasting(timed(frames, rate)):
            while len(made) < len(times) and times[len(made)] < time:
                made.append(shrunk(rgb(frame), side_px))
            if len(made) == len(times):
                break
    if len(made) < len(times):
        raise ValueError(f"{path!r} shows nothing {times[len(made)]:.2f} s after {start_s:.2f} s.")
    return np.stack(made)


def _lasting(shown: Iterable[tuple[Fraction, Any]]) -> Iterator[tuple[float, Any]]:
    """Frames with the time at which each ends, after the first; the last one lasts for ever."""
    held, start = None, Fraction(0)
    for time, frame in shown:
        if held is None:
            start = time
        else:
            yield float(time - start), held
        held = frame
    if held is not None:
        yield math.inf, held
