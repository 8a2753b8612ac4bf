# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Overlapping spans of one axis and tiles of two, with the weights that blend them."""

import dataclasses
import itertools

import numpy as np


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tiling:
    """Tiles of `rows` x `columns` latents that share `overlap` latents with their neighbours.

    Across an overlap the weight of a tile rises linearly. A tile as large as the frame
    reproduces it exactly.

    Raises:
        ValueError: tiles that would not advance.
    """

    rows: int
    columns: int
    overlap: int = 4

    def __post_init__(self):
        if not 0 <= self.overlap <= min(self.rows, self.columns) // 2:
            raise ValueError(
                f"overlap={self.overlap} must be between 0 and half of a tile of {self.rows} rows "
                f"and {self.columns} columns, so that every tile is at least half new."
            )


@dataclasses.dataclass(frozen=True)
class Tile:
    """One tile: its position in latents, and its weight at every latent or pixel."""

    rows: slice
    columns: slice
    weight: np.ndarray


def spans_of(size: int, span: int, overlap: int) -> list[slice]:
    """Spans of one length that cover `size`; the last is moved back to end with it."""
    if size <= span:
        return [slice(0, size)]
    starts = range(0, size - overlap, span - overlap)
    return [slice(start, start + span) for start in (min(s, size - span) for s in starts)]


def ramps(spans: list[slice], overlap: int, zoom: int) -> list[np.ndarray]:
    """Weight of every span along one axis, `zoom` entries per latent; they sum to one."""
    total = np.zeros(spans[-1].stop * zoom)
    rising = []
    for span in spans:
        inside = np.arange((span.stop - span.start) * zoom) + 0.5
        ramp = np.ones_like(inside)
        if overlap and span.start > 0:
            ramp = np.minimum(ramp, inside / (overlap * zoom))
        if overlap and span.stop < spans[-1].stop:
            ramp = np.minimum(ramp, inside[::-1] / (overlap * zoom))
        rising.append(ramp)
        total[span.start * zoom : span.stop * zoom] += ramp
    return [r / total[s.start * zoom : s.stop * zoom] for s, r in zip(spans, rising, strict=True)]


def tiles_of(height: int, width: int, tiling: Tiling | None, zoom: int) -> list[Tile]:
    """The tiles of a frame of height x width latents; weights have `zoom` entries per latent."""
    tiling = tiling or Tiling(rows=height, columns=width, overlap=0)
    rows = spans_of(height, tiling.rows, tiling.overlap)
    columns = spans_of(width, tiling.columns, tiling.overlap)
    row_ramps = ramps(rows, tiling.overlap, zoom)
    column_ramps = ramps(columns, tiling.overlap, zoom)
    return [
        Tile(row, column, (down[:, None] * across).astype(np.float32)[..., None])
        for (row, down), (column, across) in itertools.product(
            zip(rows, row_ramps, strict=True), zip(columns, column_ramps, strict=True)
        )
    ]


def zoomed(span: slice, zoom: int) -> slice:
    return slice(span.start * zoom, span.stop * zoom)
