# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Balance of the kept clips, and the best of them: pure functions from rows to rows.

    stratum s of a clip    its tags in the columns `by`
    balanced               n_s^alpha of n_s clips of the stratum are kept, times a common factor
    composite              weighted mean of the percentile ranks of some columns

MUG-V 2.1 samples stratified by tags of captions; MUG-V 2.2 takes the best 10 % by a composite score
for post-training, with more people and complex motion; ContentV 3 the top 10 % in aesthetics and
motion, with more weight on the foreground's.
"""

import collections
import dataclasses
import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

from mugv_jax.curate.stage import Row
from mugv_jax.curate.thresholds import DROPPED_BY, number

BALANCE = "balance"  # reason by which a clip of a large stratum goes
WRITES = {"stratum": "string", "balanced": "bool", "composite": "float64", "best": "bool"}
NONE = "none"


@dataclasses.dataclass(frozen=True, kw_only=True)
class BalanceConfig:
    """How clips are drawn from strata.

    by: columns whose values name a stratum, such as tags; of a list the first value. Columns that
        no stage made, such as tags without a tagger, are left out.
    alpha: 1 keeps the distribution, 0 draws the same number from every stratum.
    weights: factor by the name of a stratum, or by a part of it, such as "person".
    least: clips that a stratum keeps at least, if it has them.
    seed: of the draw, which depends on it and a clip's id alone.
    """

    by: tuple[str, ...] = ("scenes",)
    alpha: float = 1.0
    weights: Mapping[str, float] = dataclasses.field(default_factory=dict)
    least: int = 1
    seed: int = 0

    def __post_init__(self):
        if not 0 <= self.alpha <= 1:
            raise ValueError(f"alpha={self.alpha} must lie in 0 to 1.")
        if self.least < 0:
            raise ValueError(f"least={self.least} must be at least 0.")
        for name, weight in self.weights.items():
            if not weight > 0:
                raise ValueError(f"weights: {name}={weight} must be above 0.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class BestConfig:
    """Which clips are the best.

    share: of the clips that are kept.
    columns: weight by column; larger values are better, and a column that is empty does not count.
    """

    share: float = 0.1
    columns: Mapping[str, float] = dataclasses.field(
        default_factory=lambda: {"aesthetic": 1.0, "foreground_motion": 1.0, "motion": 0.5}
    )

    def __post_init__(self):
        if not 0 < self.share <= 1:
            raise ValueError(f"share={self.share} must lie above 0 and up to 1.")
        if not self.columns or min(self.columns.values()) <= 0:
            raise ValueError(f"columns={dict(self.columns)} must be weights above 0.")


def balance(rows: Sequence[Row], config: BalanceConfig) -> list[Row]:
    """Rows with `stratum` and `balanced`; clips that are not drawn are dropped by `BALANCE`."""
    kept = [row for row in rows if row.get(DROPPED_BY) is None]
    groups: dict[str, list[Row]] = collections.defaultdict(list)
    for row in kept:
        groups[_stratum(row, config)].append(row)
    drawn = set()
    for name, members in groups.items():
        count = _quota(name, groups, config)
        members.sort(key=lambda row: _draw(row["clip"], config.seed))
        drawn.update(row["clip"] for row in members[:count])
    made = []
    for row in rows:
        stays = row.get("clip") in drawn
        goes = row.get(DROPPED_BY) is None and not stays
        stratum = _stratum(row, config) if row.get(DROPPED_BY) is None else None
        added = {"stratum": stratum, "balanced": stays} | ({DROPPED_BY: BALANCE} if goes else {})
        made.append({**row, **added})
    return made


def _stratum(row: Row, config: BalanceConfig) -> str:
    values = (row.get(name) for name in config.by)
    names = [each[0] if isinstance(each, list | tuple) and each else each for each in values]
    return " / ".join(str(each) if each else NONE for each in names)


def _quota(name: str, groups: Mapping[str, Sequence[Row]], config: BalanceConfig) -> int:
    """Clips that a stratum keeps: the factor is the largest by which one keeps all of its clips."""

    def wanted(stratum: str) -> float:
        weight = 1.0
        for part, factor in config.weights.items():
            weight *= factor if part in stratum else 1.0
        return weight * len(groups[stratum]) ** config.alpha

    factor = min(len(groups[each]) / wanted(each) for each in groups)
    if config.alpha < 1:  # small strata keep all they have, or nearly nothing would be left
        factor = float(np.median([len(groups[each]) / wanted(each) for each in groups]))
    size = len(groups[name])
    return min(size, max(min(config.least, size), round(factor * wanted(name))))


def _draw(clip: str, seed: int) -> str:
    """A place in the order of the draw, which does not depend on other clips."""
    return hashlib.sha256(f"{seed} {clip}".encode()).hexdigest()


def mark_best(rows: Sequence[Row], config: BestConfig) -> list[Row]:
    """Rows with `composite`, 0 to 1, and `best`, for the clips that are kept."""
    kept = [row for row in rows if row.get(DROPPED_BY) is None]
    total, weight = np.zeros(len(kept)), 0.0
    for name, factor in config.columns.items():
        values = [number(row.get(name)) for row in kept]
        if any(value is not None for value in values):
            total += factor * _ranks(values)
            weight += factor
    scores = {row["clip"]: total[i] / weight for i, row in enumerate(kept)} if weight else {}
    count = max(1, round(config.share * len(kept))) if scores else 0
    order = sorted(scores, key=lambda clip: (-scores[clip], clip))
    best = set(order[:count])
    return [
        {**row, "composite": _plain(scores.get(row.get("clip"))), "best": row.get("clip") in best}
        for row in rows
    ]


def _plain(score: float | None) -> float | None:
    return None if score is None else float(score)


def _ranks(values: Sequence[float | None]) -> np.ndarray:
    """Percentile ranks, 0 to 1; equal values share one, and what is missing has 0."""
    there = sorted(value for value in values if value is not None)
    low, high = (np.searchsorted(there, [value or 0.0 for value in values], side=side)
                 for side in ("left", "right"))  # fmt: skip
    ranks = (low + high - 1) / 2 / max(1, len(there) - 1)
    return np.where([value is None for value in values], 0.0, ranks)
