# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Modulation on a mesh: every device works on its own tokens.

XLA cannot partition custom kernels, so they run under `shard_map`. Between the parts of a block the
tokens are split over "sequence" and "tensor"; inside self-attention the tokens are split over
"sequence" and the heads over "tensor". The vectors of token groups are whole on every device, and
so are their derivatives, after a sum.
"""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import Mesh, PartitionSpec

from mugv_jax.axes import Array
from mugv_jax.kernels import select
from mugv_jax.kernels.modulate import Modulation

# Mesh axes that split each axis of an array, for arrays without and with heads.
RESIDUAL = {"b": ("data", "fsdp"), "n": ("sequence", "tensor")}
HEADS = {"b": ("data", "fsdp"), "n": ("sequence",), "a": ("tensor",)}


@dataclasses.dataclass(frozen=True)
class MeshModulation(Modulation):
    """`Modulation` on `mesh`; an axis that does not divide over its devices is not split."""

    mesh: Mesh = dataclasses.field(kw_only=True)

    def _apply(self, operation: Callable[..., Any], axes: str, *arrays: Array) -> Any:
        name = self.implementation or select.modulation()
        if name == "xla" or self.mesh.size == 1:
            return operation(name, *arrays)
        inputs, outputs = (side.split() for side in axes.split("->"))
        sizes = {
            axis: size for array, of in zip(arrays, inputs) for axis, size in zip(of, array.shape)
        }
        split = {
            axis: over
            for axis, over in (HEADS if "a" in sizes else RESIDUAL).items()
            if sizes[axis] % math.prod(self.mesh.shape[each] for each in over) == 0
        }

        def spec(of: str) -> PartitionSpec:
            return PartitionSpec(*(split.get(axis) for axis in of))

        return jax.shard_map(
            functools.partial(operation, name),
            mesh=self.mesh,
            in_specs=tuple(map(spec, inputs)),
            out_specs=tuple(map(spec, outputs)),
            check_vma=False,
        )(*arrays)
