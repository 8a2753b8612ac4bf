# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Frame rates and time stamps: is a rate constant, and what is shown at even times if it is not."""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from numbers import Rational
from typing import TypeVar

import numpy as np
from jaxtyping import Int64

LARGEST_DENOMINATOR = 1001  # of a rate, 30000/1001 among them
# A camera's clock shivers. Frames that are off their turn by no more than a quarter of a frame are
# seen as even; taken by their times, some would be shown twice and others never.
JITTER = Fraction(1, 4)  # of a frame, to either side

Frame = TypeVar("Frame")


def exact_rate(fps: float | Rational) -> Fraction:
    """The fraction that a rate stands for: 29.97 is 2997/100, 29.97002997 is 30000/1001."""
    return Fraction(fps).limit_denominator(LARGEST_DENOMINATOR)


def constant_rate(
    stamps: Int64[np.ndarray, "f"], tick: Fraction, nominal: Iterable[Fraction]
) -> Fraction | None:
    """The rate at which all frames come, None if there is none.

    Frame k comes at  start + k / rate,  to the rounding of the clock or, failing that, to `JITTER`.

    stamps: times of the frames, sorted, in ticks.
    tick: of the file's clock, in seconds.
    nominal: rates that the file gives; tried before that of the first and last frame.
    """
    if len(stamps) < 2 or stamps[0] == stamps[-1]:
        return None
    since_first = stamps - stamps[0]
    mean = exact_rate(Fraction(len(stamps) - 1, int(since_first[-1])) / tick)
    rates = [*map(exact_rate, nominal), mean]
    for slack in (rounding, lambda _, rate: 2 * JITTER / rate):
        for rate in rates:
            late = since_first - np.arange(len(stamps)) / float(rate * tick)
            # A hundredth of a tick is for float64, which has the times of a week to that.
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
    """What is shown at the times 0, 1 / rate, 2 / rate, ... after the first frame.

    timed: frames by the time in seconds at which they appear; one is shown until the next.
    frame_duration: how long the last one is shown, in seconds.
    late: a frame counts as shown at a time that it misses by no more than this.
    """
    held = None
    number = 0
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


def rounding(tick: Rational | None, rate: Fraction) -> Fraction:
    """By how much times may be late because the file's clock rounded them.

    A tick as long as a frame (AVI) rounds nothing: there frames are counted.
    """
    return Fraction(tick) if tick is not None and 2 * tick * rate < 1 else Fraction(0)


def timed(decoded: Iterable, rate: Fraction) -> Iterator[tuple[Fraction, object]]:
    """Frames by their time; one without a time comes when its turn is, at the average rate."""
    time = -1 / rate
    for frame in decoded:
        time = time + 1 / rate if frame.pts is None else frame.pts * frame.time_base
        yield time, frame
