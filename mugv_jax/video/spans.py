# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Frames of a part of a video file, found by seeking to the key frame before it."""

import itertools
from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

from mugv_jax.video.files import decoded_frames
from mugv_jax.video.times import timed

if TYPE_CHECKING:
    import av
    import av.container

SEEK_S = 1.0  # a part that begins earlier is decoded from the first frame


def span(
    container: "av.container.InputContainer",
    stream: "av.VideoStream",
    start_s: float = 0.0,
    end_s: float | None = None,
) -> Iterator["av.VideoFrame"]:
    """Frames shown from `start_s` up to, not including, `end_s`, in seconds after the first frame.

    A frame belongs to the part if its time does, to the nearest tick of the file's clock.
    """
    if not start_s and end_s is None:
        yield from decoded_frames(container, stream)
        return
    for time, frame in _timed(container, stream, start_s):
        half = (stream.time_base or Fraction(0)) / 2
        if end_s is not None and time + half >= end_s:
            return
        if time + half > start_s:
            yield frame


def _timed(
    container: "av.container.InputContainer", stream: "av.VideoStream", start_s: float
) -> Iterator[tuple[Fraction, "av.VideoFrame"]]:
    """Frames with their times after the file's first frame, from `start_s` or earlier on."""
    rate = Fraction(stream.average_rate or stream.guessed_rate or 1)
    decoded = decoded_frames(container, stream)
    first = next(decoded, None)
    if first is None:
        return
    if first.pts is None or start_s < SEEK_S or stream.time_base is None:
        shown = timed(itertools.chain([first], decoded), rate)
    else:
        shown = timed(_from_key_frame(container, stream, first.pts, start_s), rate)
    origin = Fraction(0) if first.pts is None else first.pts * Fraction(stream.time_base or 0)
    for time, frame in shown:
        yield time - origin, frame


def _from_key_frame(
    container: "av.container.InputContainer", stream: "av.VideoStream", origin: int, start_s: float
) -> Iterator["av.VideoFrame"]:
    """Frames from the last key frame before `start_s` on, or from the first frame.

    The index of some files leads behind the place that is asked for.
    """
    assert stream.time_base is not None
    target = origin + round(start_s / stream.time_base)
    for place in (target, target - round(10 / stream.time_base), origin):
        container.seek(max(place, origin), stream=stream, backward=True)
        decoded = decoded_frames(container, stream)
        head = next(decoded, None)
        if head is not None and head.pts is not None and head.pts <= target:
            break
    else:
        container.seek(origin, stream=stream, backward=True)
        decoded, head = decoded_frames(container, stream), None
    yield from decoded if head is None else itertools.chain([head], decoded)
