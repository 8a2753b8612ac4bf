# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Means over clips with 95% bootstrap intervals.

The interval of a mean is that between the percentiles 2.5 and 97.5 of the means of RESAMPLES draws
of as many clips with replacement (Efron 1979), by a generator with a fixed seed.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from mugv_jax.eval.measures import METRICS

RESAMPLES, SEED = 10_000, 0
LEVEL = 95.0  # percent
AT_ONCE = 2**24  # values that are drawn together


class Mean(NamedTuple):
    """A mean and the ends of its interval, which are None for a single value."""

    value: float
    low: float | None
    high: float | None


def bootstrap(values: Sequence[float]) -> Mean:
    """Mean of at least one value."""
    x = np.asarray(values, np.float64)
    if len(x) == 1:
        return Mean(float(x[0]), None, None)
    rng, means = np.random.default_rng(SEED), []
    step = max(1, AT_ONCE // len(x))
    for start in range(0, RESAMPLES, step):
        drawn = rng.integers(len(x), size=(min(step, RESAMPLES - start), len(x)))
        means.append(x[drawn].mean(axis=1))
    tail = (100 - LEVEL) / 2
    low, high = np.percentile(np.concatenate(means), [tail, 100 - tail])
    return Mean(float(x.mean()), float(low), float(high))


def summarise(answers: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Number of clips and estimates of all metrics, by row and resolution of the answers.

    A metric that no answer has, such as LPIPS without weights, is left out.
    """
    parts: dict[str, dict[str, list[Mapping[str, Any]]]] = {}
    for answer in answers:
        parts.setdefault(answer["row"], {}).setdefault(answer["resolution"], []).append(answer)
    return {
        row: {resolution: _estimates(each) for resolution, each in found.items()}
        for row, found in parts.items()
    }


def _estimates(answers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    estimates: dict[str, Any] = {"clips": len(answers)}
    for metric in METRICS:
        values = [answer[metric] for answer in answers if answer[metric] is not None]
        if values:
            estimates[metric] = bootstrap(values)._asdict()
    return estimates
