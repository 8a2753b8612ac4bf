# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Comparisons of two models, from votes of several annotators for each pair of videos.

    GSB = (good + same) / (bad + same),   win rate = good / (good + same + bad)

Good, same and bad are votes that the first model's video is better, equal or worse (ContentV 8).
Intervals are those of a bootstrap over pairs: votes for one pair depend on each other, so that
whole pairs are drawn, with all of their votes.
"""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

FIRST, SAME, SECOND = VERDICTS = ("first", "same", "second")
RESAMPLES = 10_000
LEVEL = 0.95


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A value with its interval; infinite where the denominator is zero."""

    value: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Preference:
    """Votes of one question, and what follows from them.

    pairs: pairs with at least one vote.
    """

    pairs: int
    good: int
    same: int
    bad: int
    gsb: Estimate
    win: Estimate
    tie: Estimate
    loss: Estimate


def preference(votes: Sequence[Sequence[str]], *, seed: int = 0) -> Preference | None:
    """Comparison of two models by one question; None without votes.

    votes: of each pair, the VERDICTS of its annotators.
    seed: of the bootstrap.

    Raises:
        ValueError: a vote that is none of VERDICTS.
    """
    for each in {vote for own in votes for vote in own} - {*VERDICTS}:
        raise ValueError(f"vote {each!r} must be one of {', '.join(VERDICTS)}.")
    counts = np.array([[own.count(each) for each in VERDICTS] for own in votes if own], np.int64)
    if not len(counts):
        return None
    drawn = _resampled(counts, seed)
    good, same, bad = counts.sum(axis=0).tolist()
    shares = drawn / drawn.sum(axis=1, keepdims=True)
    win, tie, loss = (
        _estimate(count / counts.sum(), shares[:, place])
        for place, count in enumerate((good, same, bad))
    )
    return Preference(
        pairs=len(counts),
        good=good,
        same=same,
        bad=bad,
        gsb=_estimate(gsb(good, same, bad), _ratios(drawn)),
        win=win,
        tie=tie,
        loss=loss,
    )


def gsb(good: int, same: int, bad: int) -> float:
    """(good + same) / (bad + same); infinite if no vote is bad or same."""
    return (good + same) / (bad + same) if bad + same else math.inf


def _resampled(counts: Int[np.ndarray, "pairs 3"], seed: int) -> Int[np.ndarray, "resamples 3"]:
    """Votes of RESAMPLES bootstrap samples of the pairs."""
    rng, pairs = np.random.default_rng(seed), len(counts)
    totals = np.empty((RESAMPLES, 3), np.int64)
    step = max(1, 2**22 // pairs)  # bounds the memory of many pairs
    for start in range(0, RESAMPLES, step):
        size = min(step, RESAMPLES - start)
        drawn = rng.multinomial(pairs, np.full(pairs, 1 / pairs), size=size)
        totals[start : start + size] = drawn @ counts
    return totals


def _ratios(drawn: Int[np.ndarray, "resamples 3"]) -> Float[np.ndarray, "resamples"]:
    good, same, bad = drawn.astype(np.float64).T
    return np.divide(
        good + same, bad + same, out=np.full(len(drawn), math.inf), where=bad + same > 0
    )


def _estimate(value: float, drawn: Float[np.ndarray, "resamples"]) -> Estimate:
    # Quantiles of values that were drawn: between a number and infinity none can be interpolated.
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], method="inverted_cdf")
    return Estimate(float(value), float(low), float(high))
