# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Placement of variables and batches on a mesh.

Variables are placed by the logical names that the modules gave them, batches by their leading axis:
it is split into *data shards*, one for each coordinate on the mesh axes (data, fsdp).
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AbstractMesh, Mesh, NamedSharding, PartitionSpec

from mugv_jax.axes import Array
from mugv_jax.nn.layers import unboxed
from mugv_jax.sharding.rules import RULES

BATCH_AXES = ("data", "fsdp")


def variable_shardings(abstract: Any, mesh: Mesh | AbstractMesh) -> Any:
    """A `NamedSharding` for every leaf of `abstract` (boxed, from `jax.eval_shape(init)`).

    A mesh axis that does not divide the dimension it would split is left out: one head cannot be
    split over two devices, and a replicated weight is still correct.
    """
    specs = nn.logical_to_mesh(nn.get_partition_spec(abstract), RULES)
    return jax.tree.map(
        lambda leaf, spec: NamedSharding(mesh, _divisible(spec, leaf.shape, mesh)),
        unboxed(abstract),
        specs,
    )


def _divisible(
    spec: PartitionSpec, shape: tuple[int, ...], mesh: Mesh | AbstractMesh
) -> PartitionSpec:
    kept = []
    for size, axes in zip(shape, tuple(spec) + (None,) * (len(shape) - len(spec))):
        axes = (axes,) if isinstance(axes, str) else tuple(axes or ())
        while axes and size % math.prod(mesh.shape[axis] for axis in axes):
            axes = axes[:-1]
        kept.append(axes or None)
    return PartitionSpec(*kept)


def batch_sharding(mesh: Mesh, batch: int) -> NamedSharding:
    """Sharding of an array with a leading axis of `batch` samples."""
    return NamedSharding(mesh, _divisible(PartitionSpec(BATCH_AXES), (batch,), mesh))


def on_host(array: Array | np.ndarray) -> np.ndarray:
    """The whole array in this process, gathered from the others where they have parts of it."""
    if isinstance(array, jax.Array) and not array.is_fully_addressable:
        return np.asarray(multihost_utils.process_allgather(array, tiled=True))
    return np.asarray(array)


def data_shards(mesh: Mesh) -> int:
    """Number of parts into which the mesh splits a batch."""
    return math.prod(mesh.shape[axis] for axis in BATCH_AXES)


def local_shards(mesh: Mesh) -> tuple[int, ...]:
    """Data shards held by this process's devices, in order: it must supply their rows.

    Processes that share a data shard (over sequence, tensor or pipeline) supply the same rows of
    it.
    """
    numbers = np.arange(data_shards(mesh)).reshape([mesh.shape[axis] for axis in BATCH_AXES])
    found = set()
    for place, device in np.ndenumerate(mesh.devices):
        if device.process_index == jax.process_index():
            at = dict(zip(mesh.axis_names, place))
            found.add(int(numbers[tuple(at[axis] for axis in BATCH_AXES)]))
    return tuple(sorted(found))


def place_batch(rows: Mapping[str, np.ndarray], mesh: Mesh) -> dict[str, Array]:
    """Arrays over the whole mesh from this process's rows, those of `local_shards(mesh)` in order.

    Raises:
        ValueError: rows that do not divide over the process's data shards.
    """
    local = local_shards(mesh)
    return {name: _place(name, np.asarray(array), mesh, local) for name, array in rows.items()}


def _place(name: str, array: np.ndarray, mesh: Mesh, local: Sequence[int]) -> Array:
    per_shard, rest = divmod(len(array), len(local))
    if rest:
        raise ValueError(
            f"{name}: {len(array)} rows do not divide over the {len(local)} data shards of this "
            "process: give each shard the same number."
        )
    shape = (per_shard * data_shards(mesh), *array.shape[1:])
    position = {shard: i for i, shard in enumerate(local)}

    def rows_of(index: tuple[slice, ...] | None) -> np.ndarray:
        assert index is not None
        first = position[(index[0].start or 0) // per_shard] * per_shard
        return array[first : first + per_shard]

    sharding = NamedSharding(mesh, PartitionSpec(BATCH_AXES))
    return jax.make_array_from_callback(shape, sharding, rows_of)
