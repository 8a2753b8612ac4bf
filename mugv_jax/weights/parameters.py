# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Conversion between published tensors and the parameters of a model.

Reading is lazy: a parameter is a `LazyTensor`, which reads some rows of its leading axis at a time,
so a stack of 56 layers never has to be in memory at once.
"""

import dataclasses
import functools
import math
import re
from collections.abc import Callable, Iterator, Mapping

import einops
import jax
import jax.numpy as jnp
import numpy as np

from mugv_jax.weights.sources import Source, TensorSpec
from mugv_jax.weights.table import Rule, Table, split_axes
from mugv_jax.weights.transpose import transposed

PIECE_BYTES = 128 * 2**20
UNUSED = "unused"
CONSTANTS = "constants/"

Index = tuple[slice, ...]
HostOrTraced = np.ndarray | jax.Array


@dataclasses.dataclass(frozen=True)
class LazyTensor(TensorSpec):
    """An array that is read in pieces.

    read: function from an index (one slice with start and stop per axis) to that part.
    rows: entries of the leading axis to read at a time.
    stacked: whether the leading axis is that of the layers.
    """

    read: Callable[[Index], np.ndarray]
    rows: int
    stacked: bool = False

    def cast(self, dtype: np.dtype) -> "LazyTensor":
        """The same tensor; if it is floating, it is cast to `dtype` as it is read."""
        target = super().cast(dtype).dtype
        if target == self.dtype:
            return self
        read = self.read
        return dataclasses.replace(
            self, dtype=target, read=lambda index: read(index).astype(target)
        )

    def pieces(self, box: Index | None = None) -> Iterator[tuple[Index, np.ndarray]]:
        """Index and array of successive parts that fill `box` (by default, the whole tensor)."""
        box = tuple(slice(0, size) for size in self.shape) if box is None else box
        if not box:
            yield box, self.read(box)
            return
        for start in range(box[0].start, box[0].stop, self.rows):
            index = (slice(start, min(start + self.rows, box[0].stop)), *box[1:])
            yield index, self.read(index)


def rows_per_piece(shape: tuple[int, ...], dtype: np.dtype) -> int:
    """Entries of the leading axis that fit into PIECE_BYTES; at least one."""
    return max(1, PIECE_BYTES // max(1, math.prod(shape[1:]) * dtype.itemsize))


def to_ours(rule: Rule, table: Table, array: HostOrTraced) -> HostOrTraced:
    """A published tensor in the layout of its parameter, or of one layer of it."""
    return _rearrange(array, rule.axes, table)


def to_published(rule: Rule, table: Table, array: HostOrTraced) -> HostOrTraced:
    """Inverse of `to_ours`."""
    return _rearrange(array, " -> ".join(reversed(rule.axes.split("->"))), table)


def _rearrange(array: HostOrTraced, axes: str, table: Table) -> HostOrTraced:
    if "->" not in axes or not axes.strip(" ->"):
        return array
    named = set(re.findall(r"\w+", axes))
    sizes = {k: v for k, v in table.sizes.items() if k in named}
    if isinstance(array, np.ndarray) and array.ndim == 2:
        array, axes = _transposed_first(array, axes)
    return einops.rearrange(array, axes, **sizes)


def _transposed_first(matrix: np.ndarray, axes: str) -> tuple[np.ndarray, str]:
    """Matrix and pattern after a fast transpose, if the pattern moves an axis to the other end."""
    (rows, columns), right = split_axes(axes)
    if right[0] != columns and right[-1] != rows:
        return matrix, axes
    return transposed(matrix), f"{columns} {rows} -> {' '.join(right)}"


def published_shape(rule: Rule, table: Table, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Shape of the published tensors of a parameter of `shape`."""
    layer = jax.ShapeDtypeStruct(shape[1:] if rule.stacked else shape, jnp.float32)
    return jax.eval_shape(lambda x: to_published(rule, table, x), layer).shape


def parameters_of(source: Source, table: Table) -> dict[str, LazyTensor]:
    """Parameters by path, read from a checkpoint that fits `table` (see `check`).

    Layers of different dtypes are stacked in a dtype that holds all of them exactly.

    Raises:
        ValueError: no dtype holds all layers exactly.
    """
    lazies = {rule.path: _parameter(source, table, rule) for rule in table.rules}
    for name in (*table.unused, *table.optional):
        if name in source.specs:
            lazies[f"{UNUSED}/{name}"] = _parameter(source, table, Rule(name, name))
    return lazies


def _parameter(source: Source, table: Table, rule: Rule) -> LazyTensor:
    names = table.names(rule)
    dtype = _common_dtype({name: source.specs[name].dtype for name in names})
    described = jax.ShapeDtypeStruct(source.specs[names[0]].shape, jnp.float32)
    shape = jax.eval_shape(functools.partial(to_ours, rule, table), described).shape

    def read_layer(name: str) -> np.ndarray:
        return np.asarray(to_ours(rule, table, source.read(name)))

    def read_stack(index: Index) -> np.ndarray:
        layers = range(index[0].start, index[0].stop)
        out = np.empty((len(layers), *(part.stop - part.start for part in index[1:])), dtype)
        for position, layer in enumerate(layers):
            out[position] = read_layer(names[layer])[index[1:]].astype(dtype, copy=False)
        return out

    if rule.stacked:
        shape = (len(names), *shape)
        return LazyTensor(shape, dtype, read_stack, rows_per_piece(shape, dtype), stacked=True)
    return LazyTensor(
        shape, dtype, lambda index: np.asarray(read_layer(rule.name)[index]), max((1, *shape[:1]))
    )


def _common_dtype(dtypes: Mapping[str, np.dtype]) -> np.dtype:
    """Narrowest dtype that holds each of `dtypes` (by name) exactly."""
    kinds = {str(dtype) for dtype in dtypes.values()}
    if len(kinds) == 1:
        return next(iter(dtypes.values()))
    if kinds <= {"float8_e4m3fn", "float8_e5m2", "bfloat16", "float16", "float32", "float64"}:
        return np.dtype("float64" if "float64" in kinds else "float32")
    listed = ", ".join(f"{name} {dtype}" for name, dtype in dtypes.items())
    raise ValueError(f"no dtype holds all layers of one parameter exactly: {listed}.")


def cast_weights(
    parameters: Mapping[str, LazyTensor], dtype: np.dtype | None
) -> dict[str, LazyTensor]:
    """Parameters with floating tensors cast to `dtype`; those under `constants/` keep theirs."""
    return {
        path: lazy if dtype is None or path.startswith(CONSTANTS) else lazy.cast(dtype)
        for path, lazy in parameters.items()
    }


def constant_names(table: Table) -> set[str]:
    """Published names of the tensors under `constants/`, which are statistics."""
    rules = (rule for rule in table.rules if rule.path.startswith(CONSTANTS))
    return {name for rule in rules for name in table.names(rule)}
