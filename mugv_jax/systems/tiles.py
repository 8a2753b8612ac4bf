# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Tiles of a frame: cells that cover it, and the halo that a cell needs of its neighbours."""

import dataclasses
import itertools
from typing import NamedTuple

from mugv_jax.bounds import require_at_least

Slices = tuple[slice, slice]  # rows, columns


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tiling:
    """Frames are cut into cells of at most `rows` x `columns` latents.

    What is computed for a cell also reads a halo of its neighbours, whose width depends on the
    network, so that the result is that of whole frames.

    Raises:
        ValueError: a cell without a latent.
    """

    rows: int
    columns: int

    def __post_init__(self):
        require_at_least(1, self, "rows", "columns")


class Span(NamedTuple):
    """A cell of one axis with its halo, and the start of its positions that no earlier cell has."""

    cell: slice
    outer: slice
    new: int


def spans_of(size: int, cell: int, halo: int) -> list[Span]:
    """Spans of one axis: all cells have one length, with and without halo.

    The last cell is moved back to end with the axis, and halos are moved inside.
    """
    cell = min(cell, size)
    length = min(cell + 2 * halo, size)
    spans = []
    for new in range(0, size, cell):
        start = min(new, size - cell)
        low = min(max(start - halo, 0), size - length)
        spans.append(Span(slice(start, start + cell), slice(low, low + length), new))
    return spans


class Tile(NamedTuple):
    """A cell of a frame, without and with its halo."""

    cell: Slices
    outer: Slices

    @property
    def inner(self) -> Slices:
        """The cell in positions that begin with its halo."""
        rows, columns = (
            slice(cell.start - outer.start, cell.stop - outer.start)
            for cell, outer in zip(self.cell, self.outer, strict=True)
        )
        return rows, columns


def tiles_of(height: int, width: int, tiling: Tiling | None, *, halo: int) -> list[Tile]:
    """The tiles of a frame of height x width latents; one without `tiling`."""
    tiling = tiling or Tiling(rows=height, columns=width)
    rows, columns = spans_of(height, tiling.rows, halo), spans_of(width, tiling.columns, halo)
    return [
        Tile((row.cell, column.cell), (row.outer, column.outer))
        for row, column in itertools.product(rows, columns)
    ]


def zoomed(slices: Slices, zoom: int) -> Slices:
    """The same slices in positions of which a latent has `zoom` along each axis."""
    rows, columns = (slice(each.start * zoom, each.stop * zoom) for each in slices)
    return rows, columns
