# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Where each variable lives on a mesh, from the logical names that the modules gave it."""

import math
from typing import Any

import flax.linen as nn
import jax
from jax.sharding import AbstractMesh, Mesh, NamedSharding, PartitionSpec

from mugv_jax.nn.layers import unboxed
from mugv_jax.sharding.rules import RULES


def variable_shardings(abstract: Any, mesh: Mesh | AbstractMesh) -> Any:
    """A `NamedSharding` for every leaf of `abstract` (boxed, from `jax.eval_shape(init)`).

    A mesh axis that does not divide the dimension it would split is left out: one head cannot be
    split over two devices, and a replicated weight is still right.
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
    """Of an array with a leading batch axis."""
    return NamedSharding(mesh, _divisible(PartitionSpec(("data", "fsdp")), (batch,), mesh))
