# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Placement of tensors on devices as they are read.

The host holds the shards of one tensor. For 8-bit weights only a few layers at a time have full
width on the devices.
"""

import dataclasses
import functools
from collections.abc import Iterator, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec, Sharding, SingleDeviceSharding

from mugv_jax.axes import Array
from mugv_jax.nn.quantize import Rounding, quantized, scale_path, scale_shape, stored
from mugv_jax.nn.stream import HOST
from mugv_jax.weights.parameters import Index, LazyTensor

# Start and stop along each axis, of a part of a tensor.
Box = tuple[tuple[int, int], ...]


def default_sharding() -> Sharding:
    """Everything on the first device of this process."""
    return SingleDeviceSharding(jax.local_devices()[0])


def place(lazy: LazyTensor, sharding: Sharding | None = None) -> Array:
    """Array on the devices of `sharding`; each host reads only what its own devices hold, once."""
    sharding = sharding or default_sharding()
    indices = sharding.addressable_devices_indices_map(lazy.shape).values()
    boxes = {_box(index, lazy.shape) for index in indices}
    shards = {box: np.empty([stop - start for start, stop in box], lazy.dtype) for box in boxes}
    needed = tuple(
        slice(min(start for start, _ in sides), max(stop for _, stop in sides))
        for sides in zip(*boxes)
    )
    for index, piece in lazy.pieces(needed):
        for box, shard in shards.items():
            _copy_overlap(piece, _box(index, lazy.shape), shard, box)
    array = jax.make_array_from_callback(
        lazy.shape, sharding, lambda index: shards[_box(index, lazy.shape)]
    )
    return jax.block_until_ready(array)  # frees the host's copy before the next tensor is read


def place_quantized(
    path: str, lazy: LazyTensor, shardings: Mapping[str, Sharding], rounding: Rounding
) -> dict[str, Array]:
    """Stacked kernel of `path` in 8 bits, and its scales, by path.

    shardings: shardings of both, by path; if empty, both are placed on the default device.
    """
    paths = (path, scale_path(path, rounding))
    targets = tuple(shardings[each] if shardings else default_sharding() for each in paths)
    if targets[0].memory_kind == HOST:
        return dict(zip(paths, _quantized_on_host(lazy, targets, rounding), strict=True))

    def put(stacks: tuple[Array, Array], kernels: Array, first: Array) -> tuple[Array, ...]:
        return tuple(
            jax.lax.dynamic_update_slice_in_dim(stack, part, first, axis=0)
            for stack, part in zip(stacks, quantized(kernels, rounding), strict=True)
        )

    put = jax.jit(put, donate_argnums=0, out_shardings=targets)
    stacks = (
        jnp.zeros(lazy.shape, stored(rounding.dtype), device=targets[0]),
        jnp.zeros(scale_shape(lazy.shape, rounding.contracted), jnp.float32, device=targets[1]),
    )
    for first, part in _layers(lazy):
        stacks = put(stacks, place(part, _whole_layers(targets[0])), jnp.int32(first))
    return dict(zip(paths, stacks, strict=True))


def _quantized_on_host(
    lazy: LazyTensor, targets: tuple[Sharding, ...], rounding: Rounding
) -> list[Array]:
    """8-bit kernels and scales in the host's memory, rounded by this process's first device."""
    stacks = (
        np.empty(lazy.shape, stored(rounding.dtype)),
        np.empty(scale_shape(lazy.shape, rounding.contracted), np.float32),
    )
    round_off = jax.jit(functools.partial(quantized, rounding=rounding))
    for first, part in _layers(lazy):
        for stack, rounded in zip(stacks, round_off(place(part)), strict=True):
            stack[first : first + len(rounded)] = rounded
    return [
        jax.make_array_from_callback(stack.shape, target, stack.__getitem__)
        for stack, target in zip(stacks, targets, strict=True)
    ]


def _layers(lazy: LazyTensor) -> Iterator[tuple[int, LazyTensor]]:
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


def _box(index: Index | None, shape: tuple[int, ...]) -> Box:
    assert index is not None  # devices of the sharding
    return tuple(part.indices(size)[:2] for part, size in zip(index, shape))


def _copy_overlap(source: np.ndarray, source_at: Box, target: np.ndarray, target_at: Box) -> None:
    """Copies the overlap of two parts of one tensor, in these boxes, to `target`."""
    low = [max(s[0], t[0]) for s, t in zip(source_at, target_at)]
    high = [min(s[1], t[1]) for s, t in zip(source_at, target_at)]
    if all(a < b for a, b in zip(low, high)):
        taken = tuple(slice(a - s[0], b - s[0]) for a, b, s in zip(low, high, source_at))
        given = tuple(slice(a - t[0], b - t[0]) for a, b, t in zip(low, high, target_at))
        target[given] = source[taken]
