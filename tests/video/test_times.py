# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
from fractions import Fraction

import numpy as np
import pytest

from mugv_jax.video.times import constant_rate, exact_rate, resample

MILLISECOND = Fraction(1, 1000)


def stamps(rate, tick, count=200):
    """Times of frames on a clock that rounds."""
    return np.array([round(number / (rate * tick)) for number in range(count)], np.int64)


def test_rates_are_the_fractions_that_they_stand_for():
    ntsc = Fraction(30000, 1001)
    assert exact_rate(ntsc) == exact_rate(float(ntsc)) == exact_rate(29.97002997) == ntsc
    assert exact_rate(29.97) == Fraction(2997, 100)


@pytest.mark.parametrize(
    "rate", [Fraction(24000, 1001), Fraction(25), Fraction(60), Fraction(1, 3)]
)
@pytest.mark.parametrize("tick", [MILLISECOND, Fraction(1, 90_000), Fraction(1, 10**9)])
def test_rounded_times_keep_the_rate_that_fits_them(rate, tick):
    wrong = [rate * Fraction(101, 100), rate + 1]
    assert constant_rate(stamps(rate, tick), tick, [*wrong, rate]) == rate
    guessed = constant_rate(stamps(rate, tick), tick, wrong)
    assert float(guessed) == pytest.approx(float(rate), rel=1e-3)


def test_a_day_on_a_clock_of_nanoseconds_is_told_apart():
    tick = Fraction(1, 10**9)
    number = np.arange(0, 24 * 3600 * 30, dtype=np.int64)
    day = number * 1_001_000_000 // 30
    assert constant_rate(day, tick, [Fraction(30), Fraction(2997, 100)]) == Fraction(30000, 1001)


def test_only_what_strays_far_from_its_turn_is_variable():
    even = stamps(Fraction(25), MILLISECOND)
    pulldown = even + np.where(np.arange(200) % 2, 9, 0)
    assert constant_rate(pulldown, MILLISECOND, [Fraction(25)]) == 25
    late = even.copy()
    late[100:] += 40  # one frame was dropped
    for uneven in (late, even**2, np.zeros(200, np.int64)):
        assert constant_rate(uneven, MILLISECOND, [Fraction(25)]) is None


def test_a_tick_of_a_frame_allows_no_rounding():
    dropped = np.delete(np.arange(200), 100)
    assert constant_rate(np.arange(200), Fraction(1, 25), [Fraction(25)]) == 25
    assert constant_rate(dropped, Fraction(1, 25), [Fraction(25)]) is None


def test_a_frame_is_shown_until_the_next_and_the_last_as_long_as_told():
    timed = [(Fraction(5), "a"), (Fraction(6), "b"), (Fraction(13, 2), "c")]
    assert "".join(resample(timed, Fraction(4), frame_duration=Fraction(1))) == "aaaabbcccc"
    assert "".join(resample(timed, Fraction(1), frame_duration=Fraction(1, 2))) == "ab"
    late = {"frame_duration": Fraction(1), "late": Fraction(1, 2)}
    assert "".join(resample(timed, Fraction(1), **late)) == "ac"
    assert list(resample([], Fraction(1), frame_duration=Fraction(1))) == []
