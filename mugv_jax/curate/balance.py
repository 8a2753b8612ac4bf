# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Balance of the kept clips: a sample stratified by tags, in which rare strata are not drowned.

    target share of stratum i    q_i = w_i p_i^alpha / sum_j w_j p_j^alpha
    clips of it that stay        n_i = min(count_i, lambda q_i),    sum_i n_i = share * count

p_i is its share before, w_i the mean weight of its clips. alpha = 1 leaves the distribution as it
is, alpha = 0 makes it uniform. MUG-V 2.1: tags of captions form a small ontology, and sampling is
stratified by it. MUG-V 2.2: people and complex motion are weighted up.
"""

import collections
import dataclasses
import hashlib
import logging
import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from mugv_jax.bounds import require_seed
from mugv_jax.curate.stage import Row
from mugv_jax.curate.thresholds import DROPPED_BY

log = logging.getLogger(__name__)

WRITES = {"stratum": "string", "balance_weight": "float64", "balanced": "bool"}
BETWEEN = " / "  # labels of a stratum
UNTAGGED = "untagged"


@dataclasses.dataclass(frozen=True, kw_only=True)
class BalanceConfig:
    """How the kept clips are balanced.

    by: columns of tags; the first tag of each, the main one, makes the stratum.
    otherwise: columns to use if no clip has tags; numbers are cut at quantiles.
    bins: parts that numbers are cut into, of equal counts, such as "motion 1 of 3".
    alpha: 1 keeps the distribution, 0 makes it uniform.
    share: of the kept clips, the part that stays; 1 drops none, and only weighs them.
    weights: of clips with a tag or label, such as {"person": 2.0} (MUG-V 2.2); others have 1.
    seed: of the choice inside of a stratum.
    """

    by: tuple[str, ...] = ("subjects", "actions", "scenes")
    otherwise: tuple[str, ...] = ("camera_motion", "foreground_motion")
    bins: int = 3
    alpha: float = 0.5
    share: float = 0.8
    weights: Mapping[str, float] = dataclasses.field(default_factory=dict)
    seed: int = 0

    def __post_init__(self):
        require_seed("seed", self.seed)
        if not 0 <= self.alpha <= 1:
            raise ValueError(f"alpha={self.alpha} must lie in 0 (uniform) to 1 (as it is).")
        if not 0 < self.share <= 1:
            raise ValueError(f"share={self.share} must lie above 0 and up to 1.")
        if self.bins < 2:
            raise ValueError(f"bins={self.bins} must be at least 2.")
        for label, weight in self.weights.items():
            if not (weight > 0 and math.isfinite(weight)):
                raise ValueError(f"weights: {weight} of {label!r} must be positive.")


def balance(
    rows: Sequence[Row], config: BalanceConfig, measured: Collection[str] = ()
) -> list[Row]:
    """Rows with the columns of WRITES; clips that are dropped already have no stratum.

    measured: columns that were asked for. If no clip has tags although they were, a warning says
        so.

    balanced: whether the clip stays.
    balance_weight: how often it should be drawn for the target distribution, 1 on average over
        the clips that stay; None for others.

    The choice depends on the clips' ids and the seed alone, never on their order.
    """
    kept = [row for row in rows if row.get(DROPPED_BY) is None]
    labels = dict(zip((row["clip"] for row in kept), _labels(kept, config, measured), strict=True))
    weights = {clip: _weight(each, config) for clip, each in labels.items()}
    strata = collections.defaultdict(list)
    for clip, each in labels.items():
        strata[BETWEEN.join(own[0] for own in each)].append(clip)
    names = sorted(strata)
    counts = np.array([len(strata[name]) for name in names], float)
    means = [math.fsum(sorted(weights[clip] for clip in strata[name])) for name in names]
    targets = target_shares(counts, np.array(means) / np.maximum(counts, 1), config.alpha)
    amounts = whole_amounts(counts, targets, round(config.share * len(kept)))
    made: dict[str, Row] = {}
    for name, target, amount in zip(names, targets, amounts, strict=True):
        order = sorted(strata[name], key=lambda clip: (_draw(clip, weights[clip], config), clip))
        weight = float(target * amounts.sum() / amount) if amount else None
        for place, clip in enumerate(order):
            stays = place < amount
            made[clip] = {
                "stratum": name,
                "balance_weight": weight if stays else None,
                "balanced": stays,
            }
    none = {"stratum": None, "balance_weight": None, "balanced": False}
    return [{**row, **(made[row["clip"]] if row.get(DROPPED_BY) is None else none)} for row in rows]


def target_shares(counts: np.ndarray, weights: np.ndarray, alpha: float) -> np.ndarray:
    """Shares q_i of strata in the target distribution, which add up to 1."""
    raised = weights * (counts / max(counts.sum(), 1.0)) ** alpha
    return raised / raised.sum() if len(raised) else raised


def whole_amounts(counts: np.ndarray, targets: np.ndarray, total: int) -> np.ndarray:
    """Clips of each stratum, `total` together: min(count_i, lambda q_i), rounded.

    Strata that have too few give all they have, and the others share the rest. What rounding down
    leaves goes to the largest remainders.
    """
    full = np.zeros(len(counts), bool)
    exact = np.zeros(len(counts))
    while not full.all():
        scale = (total - counts[full].sum()) / targets[~full].sum()
        exact = np.where(full, counts, scale * targets)
        over = ~full & (exact >= counts)
        if not over.any():
            break
        full |= over
        exact = np.where(full, counts, exact)
    amounts = np.floor(exact + 1e-9).astype(int)
    rest = np.where(full, -1.0, exact - amounts)
    for place in np.argsort(-rest, kind="stable")[: max(total - amounts.sum(), 0)]:
        amounts[place] += 1
    return amounts


def _labels(
    rows: Sequence[Row], config: BalanceConfig, measured: Collection[str]
) -> list[list[tuple[str, ...]]]:
    """For each row, the labels that each column gives it; the first of them makes the stratum."""
    columns = config.by
    if rows and not any(row.get(name) for row in rows for name in columns):
        columns = tuple(
            name for name in config.otherwise if any(row.get(name) is not None for row in rows)
        )
        told = f"strata are made of {', '.join(columns)}" if columns else "all are one stratum"
        asked = not {*config.by}.isdisjoint(measured)
        level = logging.WARNING if asked else logging.DEBUG
        log.log(level, "No clip has tags (%s): %s.", ", ".join(config.by), told)
    found = [_column(rows, name, config.bins) for name in columns]
    return [[column[place] for column in found] for place in range(len(rows))] or []


def _column(rows: Sequence[Row], name: str, bins: int) -> list[tuple[str, ...]]:
    """Labels by one column: tags, a text, or the part between quantiles that a number lies in."""
    values = [row.get(name) for row in rows]
    numbers = [each for each in values if isinstance(each, int | float)]
    edges = np.quantile(numbers, np.arange(1, bins) / bins) if numbers else []
    made: list[tuple[str, ...]] = []
    for value in values:
        if value is None or value == []:
            made.append((UNTAGGED,))
        elif isinstance(value, list | tuple):
            made.append(tuple(map(str, value)))
        elif isinstance(value, str):
            made.append((value,))
        else:
            part = int(np.searchsorted(edges, float(value), side="right"))
            made.append((f"{name} {part + 1} of {bins}",))
    return made


def _weight(labels: Sequence[tuple[str, ...]], config: BalanceConfig) -> float:
    """Product of the weights of a clip's labels."""
    return math.prod(config.weights.get(label, 1.0) for label in {*sum(labels, ())})


def _draw(clip: str, weight: float, config: BalanceConfig) -> float:
    """Number by which clips of a stratum are chosen, the smallest first.

    -ln(u) / weight with u uniform by a hash: sampling without replacement in which heavier clips
    come first more often (Efraimidis and Spirakis 2006).
    """
    digest = hashlib.sha256(f"{config.seed} {clip}".encode()).digest()
    uniform = (int.from_bytes(digest[:8], "big") + 1) / (2**64 + 1)
    return -math.log(uniform) / weight
