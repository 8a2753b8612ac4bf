# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Placement of tensors on devices as they are read; the host holds the shards of one tensor."""

from collections.abc import Sequence

import jax
import numpy as np
from jax.sharding import Sharding

from mugv_jax.weights.parameters import Index, LazyTensor


def place(lazy: LazyTensor, sharding: Sharding) -> jax.Array:
    """Array on the devices of `sharding`; each host reads only what its own devices hold, once."""
    indices = {
        device: _explicit(index, lazy.shape)
        for device, index in sharding.addressable_devices_indices_map(lazy.shape).items()
    }
    shards = {
        _key(index): np.empty(tuple(part.stop - part.start for part in index), lazy.dtype)
        for index in indices.values()
    }
    for piece_index, piece in lazy.pieces(_bounding_box(list(indices.values()))):
        for index in indices.values():
            _copy_overlap(piece, piece_index, shards[_key(index)], index)
    array = jax.make_array_from_callback(
        lazy.shape, sharding, lambda index: shards[_key(_explicit(index, lazy.shape))]
    )
    return jax.block_until_ready(array)  # frees the host's copy before the next tensor is read


def _copy_overlap(
    source: np.ndarray, source_at: Index, target: np.ndarray, target_at: Index
) -> None:
    """Copies the overlap of two parts of one tensor, at these indices, to `target`."""
    low = [max(s.start, t.start) for s, t in zip(source_at, target_at)]
    high = [min(s.stop, t.stop) for s, t in zip(source_at, target_at)]
    if all(a < b for a, b in zip(low, high)):
        taken = tuple(slice(a - s.start, b - s.start) for a, b, s in zip(low, high, source_at))
        given = tuple(slice(a - t.start, b - t.start) for a, b, t in zip(low, high, target_at))
        target[given] = source[taken]


def _explicit(index: Index | None, shape: tuple[int, ...]) -> Index:
    assert index is not None  # devices of `sharding`
    return tuple(slice(*part.indices(size)[:2]) for part, size in zip(index, shape))


def _key(index: Index) -> tuple[tuple[int, int], ...]:
    return tuple((part.start, part.stop) for part in index)


def _bounding_box(indices: Sequence[Index]) -> Index:
    return tuple(
        slice(min(part.start for part in parts), max(part.stop for part in parts))
        for parts in zip(*indices)
    )
