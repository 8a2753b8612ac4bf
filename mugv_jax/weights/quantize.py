# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Placement of 8-bit weights on devices, with only a few layers at full width at a time."""

import dataclasses
from collections.abc import Iterator, Mapping

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec, Sharding, SingleDeviceSharding
from jax.typing import DTypeLike

from mugv_jax.axes import Array
from mugv_jax.nn.quantize import quantized, scale_path, scale_shape, stored
from mugv_jax.weights.parameters import Index, LazyTensor
from mugv_jax.weights.place import place


def place_quantized(
    path: str, lazy: LazyTensor, shardings: Mapping[str, Sharding], dtype: DTypeLike
) -> dict[str, Array]:
    """Stacked kernel of `path` in 8 bits, and its scales, by path.

    shardings: shardings of both, by path; if empty, both are placed on the default device.
    """
    paths = (path, scale_path(path))
    default = SingleDeviceSharding(jax.local_devices()[0])
    targets = tuple(shardings[each] if shardings else default for each in paths)

    def put(stacks: tuple[Array, Array], kernels: Array, first: Array) -> tuple[Array, ...]:
        return tuple(
            jax.lax.dynamic_update_slice_in_dim(stack, part, first, axis=0)
            for stack, part in zip(stacks, quantized(kernels, dtype), strict=True)
        )

    put = jax.jit(put, donate_argnums=0, out_shardings=targets)
    stacks = (
        jnp.zeros(lazy.shape, stored(dtype), device=targets[0]),
        jnp.zeros(scale_shape(lazy.shape), jnp.float32, device=targets[1]),
    )
    for first, part in _parts(lazy):
        kernels = place(part, _whole_layers(targets[0]))
        stacks = put(stacks, kernels, jnp.int32(first))
    return dict(zip(paths, stacks, strict=True))


def _parts(lazy: LazyTensor) -> Iterator[tuple[int, LazyTensor]]:
    """First layer and tensor of successive parts, each with as many layers as one read."""
    for first in range(0, lazy.shape[0], lazy.rows):
        count = min(lazy.rows, lazy.shape[0] - first)

        def read(index: Index, first: int = first):
            layers = slice(index[0].start + first, index[0].stop + first)
            return lazy.read((layers, *index[1:]))

        yield first, dataclasses.replace(lazy, shape=(count, *lazy.shape[1:]), read=read)


def _whole_layers(sharding: Sharding) -> Sharding:
    """`sharding` without division of the layer axis, which fits any number of layers."""
    if isinstance(sharding, NamedSharding):
        return NamedSharding(sharding.mesh, PartitionSpec(None, *sharding.spec[1:]))
    return sharding
