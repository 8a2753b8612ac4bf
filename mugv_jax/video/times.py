# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Frame rates and time stamps: the test for a constant rate, and resampling to even times."""

import collections
from collections.abc import Iterable, Iterator
from fractions import Fraction
from numbers import Rational
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Int64

LARGEST_DENOMINATOR = 1001  # of a rate, such as 30000/1001
# A camera's clock jitters. Frames that are early or late by at most a quarter of a frame count as
# even; resampled by their times, some would be repeated and others lost.
JITTER = Fraction(1, 4)  # of a frame, to either side
# 24 and 24000/1001 differ by a thousandth. Taken by their times, one frame in a thousand would be
# repeated or lost, which is seen, unlike so small a change of speed.
SAME_RATE = Fraction(1, 500)

Frame = TypeVar("Frame")


def exact_rate(fps: float | Rational) -> Fraction:
    """Exact fraction of a positive rate: 29.97 is 2997/100, 29.97002997 is 30000/1001.

    A rate so low that it would become 0 is kept as it is.
    """
    return Fraction(fps).limit_denominator(LARGEST_DENOMINATOR) or Fraction(fps)


def same_rate(a: Fraction, b: Fraction) -> bool:
    """Whether all frames of a video at rate `a` may be shown at rate `b`, such as 29.97 at 30."""
    return abs(a - b) <= SAME_RATE * b


def constant_rate(
    stamps: Int64[np.ndarray, "f"], tick: Fraction, nominal: Iterable[Fraction]
) -> Fraction | None:
    """The constant rate of all frames; None if the rate varies.

    Frame k must come at start + k / rate, up to the rounding of the clock or, failing that, up to
    `JITTER`.

    stamps: sorted times of the frames, in ticks.
    tick: one tick of the file's clock, in seconds.
    nominal: rates that the file declares, tried before the mean rate.
    """
    if len(stamps) < 2 or stamps[0] == stamps[-1]:
        return None
    since_first = stamps - stamps[0]
    mean = exact_rate(Fraction(len(stamps) - 1, int(since_first[-1])) / tick)
    rates = [*map(exact_rate, nominal), mean]
    for slack in (rounding, lambda _, rate: 2 * JITTER / rate):
        for rate in rates:
            late = since_first - np.arange(len(stamps)) / float(rate * tick)
            # A hundredth of a tick allows for float64, which resolves the times of a week to that.
            if np.ptp(late) <= float(slack(tick, rate) / tick) + 0.01:
                return rate
    return None


def resample(
    timed: Iterable[tuple[Fraction, Frame]],
    rate: Fraction,
    *,
    frame_duration: Fraction,
    late: Fraction = Fraction(0),
) -> Iterator[Frame]:
    """Frames shown at the times 0, 1 / rate, 2 / rate, ... after the first frame.

    timed: frames with the times in seconds at which they appear; each is shown until the next.
    frame_duration: duration of the last frame, in seconds.
    late: tolerance in seconds: a frame counts as shown at a time that it misses by at most this.
    """
    held = None
    number, start = 0, Fraction(0)
    for time, frame in timed:
        if held is None:
            start = time
        else:
            while start + number / rate + late < time:
                yield held[1]
                number += 1
        held = (time, frame)
    while held is not None and start + number / rate + late < held[0] + frame_duration:
        yield held[1]
        number += 1


def resample_back(
    timed: Iterable[tuple[Fraction, Frame]],
    rate: Fraction,
    count: int,
    *,
    late: Fraction = Fraction(0),
) -> list[Frame]:
    """Frames shown at the times ..., -2 / rate, -1 / rate, 0 before the last frame, in this order.

    count: frames to take; fewer are there if the video is shorter.
    timed, late: see `resample`.
    """
    held: collections.deque[tuple[Fraction, Frame]] = collections.deque()
    for time, frame in timed:
        held.append((time, frame))
        first = time - (count - 1) / rate + late
        while len(held) > 1 and held[1][0] <= first:
            held.popleft()
    shown: list[Frame] = []
    end = held[-1][0] if held else Fraction(0)
    while held and len(shown) < count:
        if held[-1][0] <= end - len(shown) / rate + late:
            shown.append(held[-1][1])
        else:
            held.pop()
    return shown[::-1]


def rounding(tick: Rational | None, rate: Fraction) -> Fraction:
    """Largest delay of times, in seconds, due to the rounding of the file's clock.

    0 for a tick as long as a frame (AVI), which counts frames and rounds nothing.
    """
    step = Fraction(0) if tick is None else Fraction(tick)
    return step if 2 * step * rate < 1 else Fraction(0)


def timed(decoded: Iterable, rate: Fraction) -> Iterator[tuple[Fraction, Any]]:
    """Frames with their times; one without a time comes 1 / rate after the frame before it."""
    time = -1 / rate
    for frame in decoded:
        time = time + 1 / rate if frame.pts is None else frame.pts * frame.time_base
        yield time, frame
