# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Buckets: the few latent shapes that a run trains on, each with the samples cropped to it.

A sample belongs to the largest bucket that it covers, and is cropped to it: padding would waste
arithmetic, cropping does not. Every shape is one compiled program, so their number is bounded.
"""

import dataclasses
import logging
import math
from collections.abc import Callable, Sequence

import numpy as np

from mugv_jax.axes import Int
from mugv_jax.data.choose import choose_shapes, fits
from mugv_jax.data.data_config import DataConfig, Shape

NAMED = 5  # samples that one message names

Tokens = Callable[[Shape], int]  # number of video tokens of a latent (f, h, w)

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, eq=False)
class Bucket:
    """One latent shape and the samples that are cropped to it.

    shape: (f, h, w) of the latents.
    rows: samples of one data shard in one microbatch.
    tokens: video tokens of one sample.
    members: indices of the bucket's samples, ascending.
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


def fill_buckets(
    shapes: Int[np.ndarray, "all 3"],
    names: Sequence[str],
    members: Int[np.ndarray, "n"],
    config: DataConfig,
    tokens: Tokens,
) -> tuple[Bucket, ...]:
    """The buckets of the samples `members`, sorted by shape.

    Samples that fit no bucket are left out and named in the log.

    shapes, names: (f, h, w) and name of every sample of the source.
    members: indices of the samples to use.

    Raises:
        ValueError: no samples, a shape beyond the token budget, or no sample that fits a bucket.
    """
    if not len(members):
        raise ValueError("there is no sample to train on: check data.paths and data.holdout.")
    distinct, kind = np.unique(shapes[members], axis=0, return_inverse=True)
    kind = kind.reshape(-1)
    if not config.shapes:
        _check_budget(distinct, kind, members, names, config, tokens)
    given = [(f, h, w) for f, h, w in config.shapes]
    chosen = given or choose_shapes(
        distinct, np.bincount(kind), config.max_buckets, config.crop_limit
    )
    chosen = sorted(set(chosen))
    place = assign(distinct, chosen, config.crop_limit)
    _warn_refused([names[int(i)] for i in members[place[kind] == len(chosen)]], shapes, config)
    buckets = tuple(
        _bucket(shape, members[place[kind] == i], shapes, config, tokens)
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
    """Index of the largest bucket that each shape fits; `len(buckets)` if it fits none."""
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
    tokens: Tokens,
) -> Bucket:
    """The bucket of one shape and its `members`."""
    count = tokens(shape)
    rows = config.tokens_per_shard // count
    if not rows:
        raise ValueError(
            f"a bucket of latent shape {shape} needs {count} tokens, more than "
            f"data.tokens_per_shard={config.tokens_per_shard}: raise it, or list smaller shapes."
        )
    kept = len(members) * math.prod(shape) / int(shapes[members].prod(axis=1, dtype=np.int64).sum())
    return Bucket(shape, min(rows, config.max_rows), count, members, cropped=1 - kept)


def _check_budget(
    distinct: Int[np.ndarray, "u 3"],
    kind: Int[np.ndarray, "n"],
    members: Int[np.ndarray, "n"],
    names: Sequence[str],
    config: DataConfig,
    tokens: Tokens,
) -> None:
    """Refuses samples beyond the token budget: cropping them silently would hide a wrong budget.

    distinct, kind: the shapes that occur, and the index of each member's shape among them.
    """
    counts = [tokens(tuple(shape)) for shape in distinct.tolist()]
    largest = int(np.argmax(counts))
    if counts[largest] > config.tokens_per_shard:
        name = names[int(members[np.argmax(kind == largest)])]
        raise ValueError(
            f"sample {name} of latent shape {tuple(distinct[largest].tolist())} needs "
            f"{counts[largest]} tokens, more than data.tokens_per_shard="
            f"{config.tokens_per_shard}: raise it, or list in data.shapes what to crop to."
        )


def _warn_refused(
    refused: Sequence[str], shapes: Int[np.ndarray, "all 3"], config: DataConfig
) -> None:
    """Logs the names of samples that fit no bucket, if there are any."""
    if refused:
        more = f" and {len(refused) - NAMED} more" if len(refused) > NAMED else ""
        log.warning(
            "%d of %d samples fit no bucket and are left out (%s%s): they are smaller than every "
            "shape of their kind, or lose more than %.0f%% of their area; raise data.max_buckets "
            "or list their shapes in data.shapes.",
            len(refused), len(shapes), ", ".join(refused[:NAMED]), more, 100 * config.crop_limit,
        )  # fmt: skip
