# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Shares of items, such as a pass rate, with intervals that hold for few items and near 0 and 1.

Wilson's score interval (E. B. Wilson 1927) of k successes among n, with p = k / n and z the normal
quantile of the level:

    (p + z^2 / (2 n) +- z sqrt(p (1 - p) / n + z^2 / (4 n^2))) / (1 + z^2 / n)
"""

import dataclasses
import math
from statistics import NormalDist

LEVEL = 0.95


@dataclasses.dataclass(frozen=True)
class Rate:
    """`count` of `of` items, and Wilson's interval of the share."""

    count: int
    of: int
    low: float
    high: float

    @property
    def share(self) -> float | None:
        """The share; None of no items."""
        return self.count / self.of if self.of else None


def rate(count: int, of: int, level: float = LEVEL) -> Rate:
    """Share of `count` among `of` items with its interval; that of no items is 0 to 1.

    Raises:
        ValueError: a count outside of 0 to `of`, or a level outside of 0 to 1.
    """
    if not 0 <= count <= of:
        raise ValueError(f"count={count} must lie in 0 to of={of}.")
    if not 0 < level < 1:
        raise ValueError(f"level={level} must lie between 0 and 1.")
    if not of:
        return Rate(count, of, 0.0, 1.0)
    z, p = NormalDist().inv_cdf((1 + level) / 2), count / of
    middle = p + z**2 / (2 * of)
    reach = z * math.sqrt(p * (1 - p) / of + z**2 / (4 * of**2))
    scale = 1 + z**2 / of
    # At 0 and 1 the bound is exact, and rounding must not leave the range.
    low = 0.0 if count == 0 else (middle - reach) / scale
    high = 1.0 if count == of else (middle + reach) / scale
    return Rate(count, of, low, high)
