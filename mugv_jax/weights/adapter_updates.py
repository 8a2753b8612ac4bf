# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Low-rank updates of any names, ranks and scales, in one form for every layer of a model.

    LAYER.lora_A.weight    (R, inputs)        for every layer of a stack that has an update
    LAYER.lora_B.weight    (outputs, R)

R is the largest rank of the stack. Several updates of one weight, such as those of its q, k and v,
follow each other along the rank; layers of lower rank, and layers without an update, end in zeros:

    B A = [B_q 0 0; 0 B_k 0; 0 0 B_v] [A_q; A_k; A_v]
"""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from mugv_jax.weights.adapter_table import linear_layers
from mugv_jax.weights.sources import Source, TensorSpec
from mugv_jax.weights.table import Table, Target

NAMES = "{}.lora_{}.weight"


@dataclasses.dataclass(frozen=True)
class Update:
    """Update scale x B A of the rows of `targets`.

    a, b: names of A (rank, inputs) and B (outputs, rank) in the file.
    """

    targets: tuple[Target, ...]
    a: str
    b: str
    rank: int
    scale: float


@dataclasses.dataclass(frozen=True)
class _Rows:
    """Rows [start, stop) of a weight, updated by rows [first, ...) of an update's B."""

    update: Update
    start: int
    stop: int
    first: int


class UpdateSource(Source):
    """Factors of all layers of the stacks that `updates` change.

    scale: common scale of all updates, which is not applied; None if they differ, so that each B
        is multiplied by its own.
    rank: largest rank of a layer.

    weights: shapes of the model's weights by published name.
    """

    def __init__(
        self,
        source: Source,
        updates: Sequence[Update],
        table: Table,
        weights: Mapping[str, tuple[int, ...]],
    ):
        self.path, self.format, self.parts = source.path, source.format, (source,)
        self._source = source
        self._rows: dict[str, list[_Rows]] = {}
        for update in updates:
            for layer, rows in _rows_of(update, weights):
                self._rows.setdefault(layer, []).append(rows)
        scales = {update.scale for update in updates}
        self.scale = scales.pop() if len(scales) == 1 else None
        dtypes = {source.specs[name].dtype for each in updates for name in (each.a, each.b)}
        dtype = np.dtype(np.float32) if len(dtypes) > 1 or self.scale is None else dtypes.pop()
        self.layers: list[str] = []
        self.specs, self.rank = {}, 0
        for path, names in _stacks(table, self._rows):
            self.layers.append(path)
            rank = max(sum(each.update.rank for each in self._rows.get(n, ())) for n in names)
            self.rank = max(self.rank, rank)
            for name in names:
                outputs, inputs = weights[f"{name}.weight"]
                self.specs[NAMES.format(name, "A")] = TensorSpec((rank, inputs), dtype)
                self.specs[NAMES.format(name, "B")] = TensorSpec((outputs, rank), dtype)

    def read(self, name: str) -> np.ndarray:
        layer, factor = name.removesuffix(".weight").rsplit(".lora_", 1)
        spec = self.specs[name]
        out = np.zeros(spec.shape, spec.dtype)
        top = 0
        for rows in self._rows.get(layer, ()):
            update, ranks = rows.update, slice(top, top + rows.update.rank)
            top = ranks.stop
            if factor == "A":
                out[ranks] = self._source.read(update.a).astype(spec.dtype)
                continue
            part = slice(rows.first, rows.first + rows.stop - rows.start)
            b = self._source.read(update.b)[part].astype(spec.dtype)
            out[rows.start : rows.stop, ranks] = b if self.scale is not None else b * update.scale
        return out


def rows_of_targets(
    targets: Iterable[Target], weights: Mapping[str, tuple[int, ...]]
) -> list[tuple[int, int]]:
    """First and last + 1 row of each target in its weight."""
    bounds = []
    for target in targets:
        rows = weights[f"{target.layer}.weight"][0] // target.parts
        bounds.append((target.part * rows, (target.part + 1) * rows))
    return bounds


def _rows_of(update: Update, weights: Mapping[str, tuple[int, ...]]) -> Iterator[tuple[str, _Rows]]:
    first = 0
    for target, (start, stop) in zip(
        update.targets, rows_of_targets(update.targets, weights), strict=True
    ):
        yield target.layer, _Rows(update, start, stop, first)
        first += stop - start


def _stacks(table: Table, updated: Mapping[str, object]) -> Iterator[tuple[str, list[str]]]:
    """Path of every parameter with an updated layer, and the published names of all its layers."""
    stacks: dict[str, list[str]] = {}
    for name, path in linear_layers(table).items():
        stacks.setdefault(path, []).append(name)
    for path, names in stacks.items():
        if any(name in updated for name in names):
            yield path, names
