# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Buckets: the few latent shapes that a run trains on, and which samples are cut to each.

A sample goes to the largest bucket that it covers, and is cropped to it: cropping wastes no
arithmetic, padding does. Every shape is one compiled program, so their number is bounded.
"""

import dataclasses
import logging
import math
from collections.abc import Sequence

import numpy as np

from mugv_jax.axes import Int
from mugv_jax.data.choose import choose_shapes, fits
from mugv_jax.data.data_config import DataConfig, Shape

PATCH = (1, 2, 2)  # of MUGDiT
NAMED = 5  # samples that one message names

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, eq=False)
class Bucket:
    """rows: samples of one data shard in one microbatch.  tokens: video tokens of a sample.

    members: indices of its samples, ascending.
    cropped: share of the members' latent volume that is cut off.
    """

    shape: Shape
    rows: int
    tokens: int
    members: Int[np.ndarray, "n"]
    cropped: float

    @property
    def is_image(self) -> bool:
        return self.shape[0] == 1


def token_count(shape: Shape, patch: Shape = PATCH) -> int:
    """Video tokens of a latent (f, h, w), start and end token included."""
    return math.prod(-(-size // each) for size, each in zip(shape, patch)) + 2


def fill_buckets(
    shapes: Int[np.ndarray, "all 3"],
    names: Sequence[str],
    members: Int[np.ndarray, "n"],
    config: DataConfig,
    patch: Shape = PATCH,
) -> tuple[Bucket, ...]:
    """The buckets of the samples `members`, by shape; those that fit none are named in the log.

    Raises:
        ValueError: no samples at all, a shape beyond the token budget, or samples of which
            none fits.
    """
    if not len(members):
        raise ValueError("there is no sample to train on: check data.paths and data.holdout.")
    distinct, kind = np.unique(shapes[members], axis=0, return_inverse=True)
    kind = kind.reshape(-1)
    if not config.shapes:
        _check_budget(distinct, kind, members, names, config, patch)
    chosen = config.shapes or choose_shapes(
        distinct, np.bincount(kind), config.max_buckets, config.crop_limit
    )
    chosen = sorted(set(chosen))
    place = assign(distinct, chosen, config.crop_limit)
    _warn_refused([names[i] for i in members[place[kind] == len(chosen)]], shapes, config)
    buckets = tuple(
        _bucket(shape, members[place[kind] == i], shapes, config, patch)
        for i, shape in enumerate(chosen)
        if np.any(place[kind] == i)
    )
    if not buckets:
        raise ValueError(
            f"none of {len(members)} samples covers one of data.shapes {config.shapes} with at "
            f"most {config.crop_limit:.0%} of its frames' area cut off: list smaller shapes."
        )
    return buckets


def assign(
    shapes: Int[np.ndarray, "u 3"], buckets: Sequence[Shape], crop_limit: float
) -> Int[np.ndarray, "u"]:
    """For each shape the number of the largest bucket that it fits; `len(buckets)` for none."""
    place, volume = np.full(len(shapes), len(buckets)), np.zeros(len(shapes), np.int64)
    for number, bucket in enumerate(buckets):
        better = fits(shapes, np.array(bucket), crop_limit) & (math.prod(bucket) > volume)
        place[better], volume[better] = number, math.prod(bucket)
    return place


def _bucket(
    shape: Shape,
    members: Int[np.ndarray, "n"],
    shapes: Int[np.ndarray, "all 3"],
    config: DataConfig,
    patch: Shape,
) -> Bucket:
    tokens = token_count(shape, patch)
    rows = config.tokens_per_shard // tokens
    if not rows:
        raise ValueError(
            f"a bucket of latent shape {shape} needs {tokens} tokens, more than "
            f"data.tokens_per_shard={config.tokens_per_shard}: raise it, or list smaller shapes."
        )
    kept = len(members) * math.prod(shape) / int(shapes[members].prod(axis=1, dtype=np.int64).sum())
    return Bucket(shape, min(rows, config.max_rows), tokens, members, cropped=1 - kept)


def _check_budget(
    distinct: Int[np.ndarray, "u 3"],
    kind: Int[np.ndarray, "n"],
    members: Int[np.ndarray, "n"],
    names: Sequence[str],
    config: DataConfig,
    patch: Shape,
) -> None:
    """A sample beyond the budget is an error: cropping it silently would hide a wrong budget."""
    tokens = [token_count(tuple(shape), patch) for shape in distinct.tolist()]
    largest = int(np.argmax(tokens))
    if tokens[largest] > config.tokens_per_shard:
        name = names[int(members[np.argmax(kind == largest)])]
        raise ValueError(
            f"sample {name} of latent shape {tuple(distinct[largest].tolist())} needs "
            f"{tokens[largest]} tokens, more than data.tokens_per_shard="
            f"{config.tokens_per_shard}: raise it, or list in data.shapes what to crop to."
        )


def _warn_refused(
    refused: Sequence[str], shapes: Int[np.ndarray, "all 3"], config: DataConfig
) -> None:
    if refused:
        more = f" and {len(refused) - NAMED} more" if len(refused) > NAMED else ""
        log.warning(
            "%d of %d samples fit no bucket and are left out (%s%s): they are smaller than every "
            "shape of their kind, or lose more than %.0f%% of their area; raise data.max_buckets "
            "or list their shapes in data.shapes.",
            len(refused), len(shapes), ", ".join(refused[:NAMED]), more, 100 * config.crop_limit,
        )  # fmt: skip
