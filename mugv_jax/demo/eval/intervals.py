# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Estimates with 95% intervals of a share, of the difference of two shares, and of a mean.

With p = k / n, z = 1.96, the share's interval is Wilson's (1927):

    (p + z^2 / 2n -+ z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n)                         (1)

and that of p - q, with the ends l, u of (1) for each, Newcombe's (1998, method 10):

    p - q - sqrt((p - l_p)^2 + (u_q - q)^2),   p - q + sqrt((u_p - p)^2 + (q - l_q)^2)           (2)

Both hold for shares near 1, where the usual p -+ z sqrt(p (1 - p) / n) is too narrow.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

Z = 1.959964  # a normal variable lies within Z deviations in 95 of 100 draws


class Estimate(NamedTuple):
    """A value and the ends of its 95% interval."""

    value: float
    low: float
    high: float


def share(right: int, count: int) -> Estimate:
    """The share of `right` among `count`, by (1).

    Raises:
        ValueError: numbers that are no share.
    """
    if not 0 <= right <= count or not count:
        raise ValueError(f"{right} of {count} is no share: count at least one, and no more right.")
    p, z2 = right / count, Z**2 / count
    centre = p + z2 / 2
    reach = math.sqrt(z2 * p * (1 - p) + z2**2 / 4)
    # The ends of the shares 0 and 1 are these, but for rounding.
    low = 0.0 if right == 0 else (centre - reach) / (1 + z2)
    high = 1.0 if right == count else (centre + reach) / (1 + z2)
    return Estimate(p, low, high)


def difference(p: Estimate, q: Estimate) -> Estimate:
    """The difference p - q of shares of two independent samples, by (2)."""
    value = p.value - q.value
    below = math.hypot(p.value - p.low, q.high - q.value)
    above = math.hypot(p.high - p.value, q.value - q.low)
    return Estimate(value, value - below, value + above)


def mean(values: Sequence[float]) -> Estimate:
    """The mean of `values` and the interval of Z standard errors to both sides.

    Raises:
        ValueError: fewer than two values, which have no spread.
    """
    if len(values) < 2:
        raise ValueError(f"{len(values)} values: an interval needs at least two.")
    centre = float(np.mean(values))
    reach = Z * float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return Estimate(centre, centre - reach, centre + reach)
