# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Samples that are kept for validation, chosen by their names."""

import hashlib
from collections.abc import Sequence

import numpy as np

from mugv_jax.axes import Int
from mugv_jax.data.data_config import DataConfig


def split_holdout(
    names: Sequence[str], config: DataConfig
) -> tuple[Int[np.ndarray, "n"], Int[np.ndarray, "k"]]:
    """Indices to train on and to validate on, both ascending.

    The side of a sample depends on its name alone, unless `config.max_holdout` is exceeded.
    """
    everything = np.arange(len(names), dtype=np.int32)
    if config.holdout_paths or not config.holdout:
        return everything, everything[:0]
    held = np.array([i for i in range(len(names)) if _uniform(names[i]) < config.holdout], np.int32)
    held = first_by_name(names, held, config.max_holdout)
    return np.setdiff1d(everything, held), held


def first_by_name(
    names: Sequence[str], members: Int[np.ndarray, "n"], count: int
) -> Int[np.ndarray, "k"]:
    """At most `count` of `members`, drawn by a hash of their names, ascending."""
    drawn = sorted(members.tolist(), key=lambda index: (_uniform(names[int(index)]), index))
    return np.array(sorted(drawn[:count]), np.int32)


def _uniform(name: str) -> float:
    """A number in [0, 1) that is a hash of the name."""
    digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
