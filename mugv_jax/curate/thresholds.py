# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Thresholds: which clips go, and why. They can be tried again, as scores are kept."""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mugv_jax.curate.stage import Row

DROPPED_BY = "dropped_by"
WRITES = {DROPPED_BY: "string"}
# Reasons that are no thresholds.
PROBLEM, SIMILAR, DUPLICATE, BALANCE = "problem", "similar", "duplicate", "balance"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Threshold:
    """Range of a column in which clips are kept, ends included.

    column: a number, a bool (0 or 1), or a list, whose length counts. Clips without a value, such
        as those of a measure whose model is absent, are kept.
    low, high: the range; None leaves an end open. Without both the threshold is off.
    source: paper and section of the numbers, or why they were chosen.
    unit: of the column, for people.

    Raises:
        ValueError: an empty range.
    """

    column: str
    low: float | None = None
    high: float | None = None
    source: str = ""
    unit: str = ""

    def __post_init__(self):
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"low={self.low} must be at most high={self.high} ({self.column}).")

    def keeps(self, row: Row) -> bool:
        """Whether a row may stay."""
        value = number(row.get(self.column))
        if value is None:
            return True
        low = -math.inf if self.low is None else self.low
        high = math.inf if self.high is None else self.high
        return low <= value <= high


def number(value: Any) -> float | None:
    """A cell as a number: the length of a list, 0 or 1 for a bool, None for what is missing."""
    if value is None:
        return None
    return float(len(value)) if isinstance(value, list | tuple) else float(value)


def decide(rows: Sequence[Row], thresholds: Mapping[str, Threshold]) -> list[Row]:
    """Rows with `dropped_by`, the name of the first threshold that a clip fails; None keeps it."""
    return [{**row, DROPPED_BY: _reason(row, thresholds)} for row in rows]


def _reason(row: Row, thresholds: Mapping[str, Threshold]) -> str | None:
    if row.get(PROBLEM) is not None:
        return PROBLEM
    return next((name for name, each in thresholds.items() if not each.keeps(row)), None)


def drop(rows: Sequence[Row], reason: str, goes: Callable[[Row], bool]) -> list[Row]:
    """Rows with `dropped_by` set to `reason` where it is None and `goes` says so."""
    return [
        {**row, DROPPED_BY: reason} if row.get(DROPPED_BY) is None and goes(row) else row
        for row in rows
    ]
