# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Agreement of annotators beyond that of chance.

Krippendorff's alpha (K. Krippendorff, Content Analysis, chapter on reliability), for any number of
annotators an item, some of which may be missing. With o[c, k] the coincidences of categories c and
k, each pair of answers of an item with m answers counted 1 / (m - 1) times, n_c their row sums and
n the sum of these:

    alpha = 1 - D_o / D_e
    D_o = sum o[c, k] d(c, k) / n,    D_e = sum n_c n_k d(c, k) / (n (n - 1))

    nominal    d(c, k) = 1 where c != k
    ordinal    d(c, k) = (sum of n_g for g from c to k, minus (n_c + n_k) / 2)^2

Fleiss' kappa (J. L. Fleiss 1971), for items that all have the same number of answers:

    kappa = (P - P_e) / (1 - P_e)

with P the mean share of agreeing pairs of answers of an item, and P_e = sum p_c^2 that of chance.
Both are 1 for full agreement and 0 for that of chance.
"""

import collections
import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

NOMINAL, ORDINAL = LEVELS = ("nominal", "ordinal")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Agreement:
    """Agreement of the annotators about one question.

    items: items with at least two answers.
    alpha: Krippendorff's alpha by level of measurement, "nominal" and perhaps "ordinal".
    kappa: Fleiss' kappa of `kappa_items` items, those with the most frequent number of answers.

    A measure is None where it is not defined: with no such item, or if all answers are the same.
    """

    items: int
    alpha: dict[str, float | None]
    kappa: float | None
    kappa_items: int


def agreement(
    answers: Sequence[Sequence[str]], categories: Sequence[str], *, ordered: bool
) -> Agreement:
    """All measures of one question.

    answers: for each item, the answers of its annotators.
    categories: every possible answer; if `ordered`, from the lowest to the highest.
    """
    counts = counted(answers, categories)
    per_item = counts.sum(axis=1)
    several = counts[per_item > 1]
    frequent = collections.Counter(per_item[per_item > 1].tolist()).most_common()
    # Of equally frequent numbers of answers, the larger.
    most = max((each for each, times in frequent if times == frequent[0][1]), default=0)
    same = several[several.sum(axis=1) == most]
    levels = LEVELS if ordered else (NOMINAL,)
    return Agreement(
        items=len(several),
        alpha={level: krippendorff_alpha(several, level) for level in levels},
        kappa=fleiss_kappa(same),
        kappa_items=len(same),
    )


def counted(
    answers: Sequence[Sequence[str]], categories: Sequence[str]
) -> Int[np.ndarray, "items categories"]:
    """How many annotators of each item gave each answer.

    Raises:
        ValueError: an answer that is no category.
    """
    place = {name: number for number, name in enumerate(categories)}
    counts = np.zeros((len(answers), len(categories)), np.int64)
    for item, given in enumerate(answers):
        for answer in given:
            if answer not in place:
                raise ValueError(f"answer {answer!r} must be one of {', '.join(categories)}.")
            counts[item, place[answer]] += 1
    return counts


def krippendorff_alpha(
    counts: Int[np.ndarray, "items categories"], level: str = NOMINAL
) -> float | None:
    """Krippendorff's alpha; items with fewer than two answers do not count.

    counts: of `counted`; for "ordinal" with the categories in their order.

    Raises:
        ValueError: another level.
    """
    if level not in LEVELS:
        raise ValueError(f"level={level!r} must be one of {', '.join(LEVELS)}.")
    counts = counts[counts.sum(axis=1) > 1].astype(np.float64)
    if not len(counts):
        return None
    weight = 1 / (counts.sum(axis=1) - 1)
    coincidences = np.einsum("u,uc,uk->ck", weight, counts, counts)
    coincidences -= np.diag(weight @ counts)  # an answer makes no pair with itself
    totals = coincidences.sum(axis=1)
    distance = _distances(totals, level)
    expected = totals @ distance @ totals / (totals.sum() - 1)
    if expected == 0:
        return None
    return float(1 - (coincidences * distance).sum() / expected)


def fleiss_kappa(counts: Int[np.ndarray, "items categories"]) -> float | None:
    """Fleiss' kappa of items with equally many answers.

    Raises:
        ValueError: items with different numbers of answers.
    """
    if not len(counts):
        return None
    answers = counts.sum(axis=1)
    if (answers != answers[0]).any() or answers[0] < 2:
        raise ValueError(
            f"answers an item={sorted(set(answers.tolist()))} must be one number, at least 2: "
            "Fleiss' kappa is not defined for others; Krippendorff's alpha is."
        )
    each = answers[0]
    agreeing = ((counts**2).sum(axis=1) - each) / (each * (each - 1))
    chance = float(((counts.sum(axis=0) / counts.sum()) ** 2).sum())
    return None if chance == 1 else (float(agreeing.mean()) - chance) / (1 - chance)


def _distances(
    totals: Float[np.ndarray, "categories"], level: str
) -> Float[np.ndarray, "categories categories"]:
    """d(c, k) of every two categories."""
    if level == NOMINAL:
        return 1.0 - np.eye(len(totals))
    below = np.cumsum(totals) - totals / 2  # up to the middle of a category
    return (below[:, None] - below[None, :]) ** 2
