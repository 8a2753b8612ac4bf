# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The best clips, for post-training: by ranks of scores, which need no common scale.

    rank of a clip       share of clips below it, with half of those that equal it
    part                 weighted mean of the ranks of some columns, ranked again
    composite            mean of the parts (MUG-V 2.2), or the smallest of them (ContentV 3)

MUG-V 2.2 takes the best 10% by a composite score. ContentV 3 takes the clips that are among the
top 10% in aesthetics and in motion, where motion of the foreground counts more.
"""

import dataclasses
import logging
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from mugv_jax.curate.stage import Row
from mugv_jax.curate.thresholds import DROPPED_BY, number

log = logging.getLogger(__name__)

WRITES = {"composite": "float64", "best": "bool"}
MEAN, EVERY = "mean", "every"


@dataclasses.dataclass(frozen=True, kw_only=True)
class BestConfig:
    """Which of the balanced clips are the best.

    parts: weights of columns, by a name for each part; more of a column is better.
    rule: "mean" takes the clips with the best mean of parts; "every" those that are among the
        `share` in every part, which are fewer.
    share: of the clips.
    """

    parts: Mapping[str, Mapping[str, float]] = dataclasses.field(
        default_factory=lambda: {
            "aesthetic": {"aesthetic": 1.0},
            "motion": {"foreground_motion": 2.0, "camera_motion": 1.0},
            "sharpness": {"sharpness": 1.0},
        }
    )
    rule: str = MEAN
    share: float = 0.1

    def __post_init__(self):
        if self.rule not in (MEAN, EVERY):
            raise ValueError(f"rule={self.rule!r} must be {MEAN!r} or {EVERY!r}.")
        if not 0 < self.share <= 1:
            raise ValueError(f"share={self.share} must lie above 0 and up to 1.")
        if not self.parts or not all(self.parts.values()):
            raise ValueError("parts must name a part, and columns with weights in each.")
        for part, weights in self.parts.items():
            if not all(weight > 0 for weight in weights.values()):
                raise ValueError(f"parts: the weights of {part!r} must be positive.")


def select_best(
    rows: Sequence[Row], config: BestConfig, measured: Collection[str] = ()
) -> list[Row]:
    """Rows with the columns of WRITES: `composite` in 0 to 1, and `best`.

    measured: columns that were asked for.

    Only clips that nothing dropped and that balance left in (`balanced`) compete; the others have
    no composite. Columns that no clip has are left out, with a warning if they were asked for; a
    clip without a value has the ranks of the columns that it has.
    """
    able = [row for row in rows if row.get(DROPPED_BY) is None and row.get("balanced") is not False]
    none = {"composite": None, "best": False}
    if not able:
        return [{**row, **none} for row in rows]
    parts = [_part(able, weights, measured) for weights in config.parts.values()]
    ranked = [part for part in parts if part is not None]
    made: dict[str, Row] = {}
    if ranked:
        joined = np.mean(ranked, 0) if config.rule == MEAN else np.min(ranked, 0)
        chosen = _chosen([row["clip"] for row in able], joined, config)
        for row, value in zip(able, joined, strict=True):
            made[row["clip"]] = {"composite": float(value), "best": row["clip"] in chosen}
    return [{**row, **made.get(row.get("clip") or "", none)} for row in rows]


def _chosen(clips: Sequence[str], composite: np.ndarray, config: BestConfig) -> set[str]:
    if config.rule == EVERY:
        least = 1 - config.share
        return {clip for clip, value in zip(clips, composite, strict=True) if value >= least}
    count = max(1, round(config.share * len(clips)))
    order = sorted(zip(-composite, clips, strict=True))
    return {clip for _, clip in order[:count]}


def _part(
    rows: Sequence[Row], weights: Mapping[str, float], measured: Collection[str]
) -> np.ndarray | None:
    """Ranks of the rows in one part; None if no row has any of its columns."""
    total, weight = np.zeros(len(rows)), np.zeros(len(rows))
    for column, own in weights.items():
        found = [number(row.get(column)) for row in rows]
        values = np.array([np.nan if each is None else each for each in found])
        there = ~np.isnan(values)
        if not there.any():
            level = logging.WARNING if column in measured else logging.DEBUG
            log.log(level, "No clip has %s: the best clips are chosen without.", column)
        total[there] += own * ranks(values[there])
        weight[there] += own
    if not weight.any():
        return None
    mean = np.where(weight > 0, total / np.maximum(weight, 1e-12), 0.0)
    return ranks(mean)


def ranks(values: np.ndarray) -> np.ndarray:
    """Percentile ranks in (0, 1): share of values below, with half of the equal ones."""
    ordered = np.sort(values)
    below = np.searchsorted(ordered, values, side="left")
    upto = np.searchsorted(ordered, values, side="right")
    return (below + upto) / (2 * max(len(values), 1))
