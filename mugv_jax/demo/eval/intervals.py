# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Estimates with 95% intervals: a share, the difference of two shares, and a mean.

The interval of a share is Wilson's (`eval.human.rates`). That of a difference p - q, with the ends
l and u of Wilson's for each share, is Newcombe's (1998, method 10):

    p - q - sqrt((p - l_p)^2 + (u_q - q)^2),   p - q + sqrt((u_p - p)^2 + (q - l_q)^2)

Both are valid near 1, where the usual p -+ z sqrt(p (1 - p) / n) is too narrow.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mugv_jax.eval.human.rates import rate

Z = 1.959964  # 95% of a normal distribution lies within Z standard deviations


class Estimate(NamedTuple):
    """A value and the ends of its 95% interval."""

    value: float
    low: float
    high: float


def share(right: int, count: int) -> Estimate:
    """Share of `right` among `count`, with its interval.

    Raises:
        ValueError: `count` below 1, or `right` outside 0 to `count`.
    """
    if not 0 <= right <= count or not count:
        raise ValueError(f"{right} of {count} is no share: count at least one, and no more right.")
    found = rate(right, count)
    return Estimate(right / count, found.low, found.high)


def difference(p: Estimate, q: Estimate) -> Estimate:
    """Difference p - q of the shares of two independent samples, with its interval."""
    value = p.value - q.value
    below = math.hypot(p.value - p.low, q.high - q.value)
    above = math.hypot(p.high - p.value, q.value - q.low)
    return Estimate(value, value - below, value + above)


def mean(values: Sequence[float]) -> Estimate:
    """Mean, with an interval of Z standard errors to each side.

    Raises:
        ValueError: fewer than two values, which have no spread.
    """
    if len(values) < 2:
        raise ValueError(f"{len(values)} values: an interval needs at least two.")
    centre = float(np.mean(values))
    reach = Z * float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return Estimate(centre, centre - reach, centre + reach)
