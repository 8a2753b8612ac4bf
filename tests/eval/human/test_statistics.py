# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Consensus, agreement, preferences and rates, against published examples and their definitions."""

import math

import numpy as np
import pytest

from mugv_jax.eval.human.agreement import (
    agreement,
    counted,
    fleiss_kappa,
    krippendorff_alpha,
)
from mugv_jax.eval.human.consensus import consensus
from mugv_jax.eval.human.preferences import preference
from mugv_jax.eval.human.rates import rate

ROUNDED = 5e-4  # published values have three digits
# Four observers of twelve units, the usual example of Krippendorff's alpha; 0 is missing.
OBSERVED = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3],
        [0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0],
    ]
)
# Fourteen raters of ten subjects in five categories (Fleiss' kappa as commonly worked out).
RATED = np.array(
    [
        [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
    ]
)  # fmt: skip


def units():
    return [[str(value) for value in unit if value] for unit in OBSERVED.T]


@pytest.mark.parametrize(
    ("answers", "wanted", "state", "answer", "votes"),
    [
        (["left", "left", "right"], 3, "agreed", "left", 2),
        (["left", "left"], 3, "agreed", "left", 2),
        (["left", "same", "right"], 3, "tied", None, 1),
        (["left", "right"], 3, "unfinished", None, 1),
        (["left"], 3, "unfinished", None, 1),
        (["left"], 1, "agreed", "left", 1),
        (["left", "right"], 2, "tied", None, 1),
        ([], 3, "unfinished", None, 0),
        (["left", "left", "right", "right"], 3, "tied", None, 2),
        (["left", "left", "left", "right", "right"], 5, "agreed", "left", 3),
    ],
)
def test_the_consensus_is_that_of_a_majority_of_at_least_two(answers, wanted, state, answer, votes):
    for given in (answers, answers[::-1]):
        found = consensus(given, wanted)
        assert (found.state, found.answer, found.votes, found.of) == (
            state, answer, votes, len(answers),
        )  # fmt: skip


def test_alpha_and_kappa_have_the_published_values():
    counts = counted(units(), "12345")
    assert krippendorff_alpha(counts, "nominal") == pytest.approx(0.743, abs=ROUNDED)
    assert krippendorff_alpha(counts, "ordinal") == pytest.approx(0.815, abs=ROUNDED)
    assert fleiss_kappa(RATED) == pytest.approx(0.210, abs=ROUNDED)


def test_ordinal_alpha_with_two_categories_is_the_nominal_one():
    answers = [["a", "a", "b"], ["b", "b"], ["a", "b", "b", "b"], ["a"]]
    found = agreement(answers, ("a", "b"), ordered=True)
    assert found.alpha["ordinal"] == pytest.approx(found.alpha["nominal"])
    assert found.items == 3
    backwards = agreement(answers[::-1], ("b", "a"), ordered=True)
    assert backwards.alpha == pytest.approx(found.alpha)


def test_agreement_is_not_defined_where_all_answers_are_one():
    found = agreement([["a", "a"], ["a", "a"]], ("a", "b"), ordered=False)
    assert (found.alpha, found.kappa, found.kappa_items) == ({"nominal": None}, None, 2)
    assert agreement([["a"], []], ("a", "b"), ordered=False).alpha == {"nominal": None}
    full = agreement([["a", "a"], ["b", "b", "b"], ["b", "b"]], ("a", "b"), ordered=False)
    assert (full.alpha, full.kappa, full.kappa_items) == ({"nominal": 1.0}, 1.0, 2)


def test_what_is_no_answer_or_level_is_refused():
    with pytest.raises(ValueError, match="'c' must be one of a, b"):
        agreement([["c"]], ("a", "b"), ordered=False)
    with pytest.raises(ValueError, match="level='ratio' must be one of nominal, ordinal"):
        krippendorff_alpha(RATED, "ratio")
    with pytest.raises(ValueError, match=r"answers an item=\[1, 14\]"):
        fleiss_kappa(np.array([[14, 0], [1, 0]]))
    with pytest.raises(ValueError, match="vote 'left'"):
        preference([["left"]])
    with pytest.raises(ValueError, match="wanted=0"):
        consensus([], 0)


def test_gsb_and_win_rates_are_those_of_the_votes():
    found = preference([["first", "first", "same"], ["second", "same", "first"], []])
    assert found is not None
    assert (found.pairs, found.good, found.same, found.bad) == (2, 3, 2, 1)
    assert found.gsb.value == pytest.approx(5 / 3)
    assert (found.win.value, found.tie.value, found.loss.value) == (3 / 6, 2 / 6, 1 / 6)
    assert preference([[], []]) is None
    only = preference([["first"]])
    assert only is not None
    assert (only.gsb.value, only.gsb.high) == (math.inf, math.inf)


def test_intervals_take_votes_of_a_pair_as_one():
    """Three equal votes a pair tell no more than one does: the interval must not shrink."""
    rng = np.random.default_rng(0)
    single = [[str(rng.choice(["first", "same", "second"], p=(0.5, 0.2, 0.3)))] for _ in range(200)]
    one, three = preference(single), preference([own * 3 for own in single])
    assert one is not None
    assert three is not None
    assert (three.gsb.low, three.gsb.high) == (one.gsb.low, one.gsb.high)
    p = one.win.value  # of single votes, the interval is that of a binomial share
    assert one.win.high - one.win.low == pytest.approx(
        2 * 1.96 * math.sqrt(p * (1 - p) / 200), rel=0.05
    )


@pytest.mark.parametrize(
    ("count", "of", "low", "high"),
    [(10, 10, 0.7225, 1.0), (0, 20, 0.0, 0.1611), (5, 10, 0.2366, 0.7634), (0, 0, 0.0, 1.0)],
)
def test_wilson_intervals_have_the_published_values(count, of, low, high):
    found = rate(count, of)
    assert (found.low, found.high) == pytest.approx((low, high), abs=ROUNDED)
    assert found.share == (count / of if of else None)


def test_counts_and_levels_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="count=3 must lie in 0 to of=2"):
        rate(3, 2)
    with pytest.raises(ValueError, match="level=1 "):
        rate(1, 2, level=1)
