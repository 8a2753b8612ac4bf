# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Bars at the borders of the picture: rows and columns of one colour that never change.

ContentV 3 removes black borders, and MUG-V 2.1 drops clips with large ones. A dark scene has dark
rows too, but not the same colour in all of them, in all frames, up to one straight edge.
"""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from mugv_jax.axes import Frames
from mugv_jax.curate.stage import Row, Stage

TOLERANCE = 6.0  # of 255: compression changes the colour of a bar by a few levels
ALONE = 2.0  # the same for a bar on one side only
WIDEST = 0.3  # of the picture on one side; what is left would be no picture


@dataclasses.dataclass(frozen=True, kw_only=True)
class Borders(Stage):
    """The box inside of the bars, and the share of the picture that the bars cover.

    least: share of a side below which there is no bar: encoders leave a line or two.
    contrast: smallest change, of 255, from a bar to the picture beside it.
    along: smallest share of the bar's edge that has this change.
    """

    NAME = "borders"
    READS = ("key_frames", "width_px", "height_px")
    WRITES: ClassVar = {"border_share": "float64", "content_box": "list<int64>"}

    least: float = 0.02
    contrast: float = 6.0
    along: float = 0.7

    def run(self, rows: Sequence[Row]) -> list[Row]:
        return [{**row, **self._box(row)} for row in rows]

    def _box(self, row: Row) -> Row:
        frames = row["key_frames"]
        height, width = frames.shape[1:3]
        box = self.content_box(frames)
        left, top, right, bottom = box
        share = 1 - (right - left) * (bottom - top) / (width * height)
        across, down = row["width_px"] / width, row["height_px"] / height
        # Inward to even pixels, which codecs need.
        inner = [
            -(-left * across // 2) * 2,
            -(-top * down // 2) * 2,
            right * across // 2 * 2,
            bottom * down // 2 * 2,
        ]
        return {
            "border_share": float(share),
            "content_box": [int(side) for side in inner] if share else None,
        }

    def content_box(self, frames: Frames) -> tuple[int, int, int, int]:
        """Left, top, right and bottom of the picture inside of the bars, for frames (k h w 3)."""
        height, width = frames.shape[1:3]
        top, bottom = self._bars(frames)
        inner = frames[:, top : height - bottom]
        left, right = self._bars(inner.swapaxes(1, 2))
        # Between bars at the sides, rows above and below may be bars too.
        if left or right:
            top, bottom = self._bars(frames[:, :, left : width - right])
        return left, top, width - right, height - bottom

    def _bars(self, frames: Frames) -> tuple[int, int]:
        """Number of rows at the top and at the bottom that are bars, of frames (k h w 3)."""
        low = np.percentile(frames, 2, axis=(0, 2)).astype(np.float32)  # (h 3)
        high = np.percentile(frames, 98, axis=(0, 2)).astype(np.float32)
        spread, colour = (high - low).max(-1), (low + high) / 2
        loose, strict = (
            (
                self._rows(spread <= tolerance, colour, frames),
                self._rows(spread[::-1] <= tolerance, colour[::-1], frames[:, ::-1]),
            )
            for tolerance in (TOLERANCE, ALONE)
        )
        # Bars come in pairs; a single one must be perfect, or it is a dark corner of the scene.
        return loose if min(loose) > 0 else strict

    def _rows(self, flat: np.ndarray, colour: np.ndarray, frames: Frames) -> int:
        """Flat rows of one colour from the first on, if an edge ends them."""
        same = flat & (np.abs(colour - colour[0]).max(-1) <= TOLERANCE)
        count = int(np.argmin(same)) if not same.all() else len(same)
        if not self.least * len(flat) <= count <= WIDEST * len(flat):
            return 0
        # The picture begins at once, and all along the bar.
        beside = frames[:, count : count + max(2, len(flat) // 50)].astype(np.float32)
        edge = np.abs(beside - colour[0]).max(-1).mean((0, 1))
        return count if (edge >= self.contrast).mean() >= self.along else 0


def inside(frames: Frames, box: Sequence[int], width_px: int, height_px: int) -> Frames:
    """The part of frames (... h w 3), of any size, that a box in pixels of the video covers."""
    height, width = frames.shape[-3:-1]
    left, right = (round(side * width / width_px) for side in (box[0], box[2]))
    top, bottom = (round(side * height / height_px) for side in (box[1], box[3]))
    return frames[..., top : max(bottom, top + 1), left : max(right, left + 1), :]
