# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Bars at the borders of the picture: of one colour, or a blurred copy of the picture.

A bar of one colour, seen from its side of the frame, over all key frames:

    d(y)   mean distance of row y from the colour of the outermost rows
    flat   rows in which at most 2 % of the pixels are further than 6 of 255 from that colour
    edge   the row of the largest step of d just below the flat ones

A dark scene has dark rows too, but no straight edge that ends them: beside a bar the picture begins
at once, along most of the bar, or the bar opposite is just as wide. Lines of text in a bar, such as
subtitles, do not end it.

A blurred copy fills the sides of portrait videos: detail is far less outside of two seams, straight
from end to end and equally far from the middle, at which the picture jumps.

ContentV 3 removes black borders, and MUG-V 2.1 drops clips with large ones.
"""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import numpy as np

from mugv_jax.axes import Float, Frames
from mugv_jax.curate.stage import Row, Stage

TOLERANCE = 6  # of 255: compression changes the colour of a bar by a few levels
FEW = 0.02  # of a row's pixels that may be further from the bar's colour: noise
WORDS = 0.5  # of a row's pixels that may be, in a line of text between rows of the bar
WIDEST = 0.42  # of the picture on one side; portrait videos in a wide frame have 0.34
LEAST_PX = 64  # of a picture in which blurred bars are looked for
RINGING_PX = 10  # rows of a bar beside its edge that compression may have changed


class Bar(NamedTuple):
    """A bar: its rows, its colour, and the share of its edge at which the picture begins."""

    rows: int
    colour: np.ndarray
    along: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Borders(Stage):
    """The box inside of the bars, and the share of the picture that the bars cover.

    least: share of a side below which there is no bar: encoders leave a line or two.
    contrast: smallest change, of 255, from a bar to the picture beside it.
    along: smallest share of a bar's edge that has this change.
    along_pair: the same for a bar whose opposite has its width and colour.
    blurred: largest detail in a blurred bar, as a share of the detail between the bars.
    along_seam: smallest share of its edge that has `contrast`.
    seam: smallest jump at the edge of a blurred bar, in mean changes between neighbouring pixels.
    """

    NAME = "borders"
    READS = ("key_frames", "width_px", "height_px")
    WRITES: ClassVar = {"border_share": "float64", "content_box": "list<int64>"}

    least: float = 0.02
    contrast: float = 6.0
    along: float = 0.7
    along_pair: float = 0.5
    blurred: float = 0.4
    along_seam: float = 0.5
    seam: float = 1.8

    def run(self, rows: Sequence[Row]) -> list[Row]:
        return [{**row, **self._box(row)} for row in rows]

    def _box(self, row: Row) -> Row:
        frames = row["key_frames"]
        height, width = frames.shape[1:3]
        left, top, right, bottom = self.content_box(frames)
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
        top = bottom = left = right = 0
        for _ in range(2):  # between bars at the sides, rows above and below may be bars too
            top, bottom = self._bars(frames[:, :, left : width - right])
            left, right = self._bars(frames[:, top : height - bottom].swapaxes(1, 2))
            if not (left or right):
                break
        grey = frames[..., 1]  # green is most of the luma
        if not (top and bottom) and (count := self._blurred_bars(grey)):
            top = bottom = count
        if not (left and right) and (count := self._blurred_bars(grey.swapaxes(1, 2))):
            left = right = count
        return left, top, width - right, height - bottom

    def _bars(self, frames: Frames) -> tuple[int, int]:
        """Number of rows at the top and at the bottom that are bars, of frames (k h w 3)."""
        first, last = self._candidates(frames), self._candidates(frames[:, ::-1])
        for a in first:
            for b in last:
                near = abs(a.rows - b.rows) <= max(2, frames.shape[1] // 100)
                alike = np.abs(a.colour - b.colour).max() <= TOLERANCE
                if near and alike and min(a.along, b.along) >= self.along_pair:
                    return a.rows, b.rows
        top, bottom = (
            next((bar.rows for bar in bars if bar.along >= self.along), 0) for bars in (first, last)
        )
        return top, bottom

    def _candidates(self, frames: Frames) -> list[Bar]:
        """Bars that rows from the first on may be, the widest first."""
        height = frames.shape[1]
        most = int(WIDEST * height)
        colour = np.median(frames[:, :2], axis=(0, 1, 2)).astype(np.float32)
        away = np.abs(frames[:, : most + RINGING_PX].astype(np.float32) - colour).max(-1)
        beyond = (away > TOLERANCE).mean((0, 2))
        found = []
        for flat in dict.fromkeys((_flat(beyond, WORDS), _flat(beyond, FEW))):
            count = _edge(away.mean((0, 2)), flat)
            if not self.least * height <= count <= most:
                continue
            outer = frames[:, max(count - 3, 0) : max(count - 1, 1)]
            inner = frames[:, count : count + 2]
            found.append(Bar(count, colour, self._along(outer, inner)))
        return found

    def _along(self, outer: Frames, inner: Frames) -> float:
        """Share of columns in which two strips (k n w 3) differ, in the median frame."""
        step = np.abs(inner.mean(1, dtype=np.float32) - outer.mean(1, dtype=np.float32)).max(-1)
        return float(np.median((step >= self.contrast).mean(1)))

    def _blurred_bars(self, grey: Frames) -> int:
        """Number of rows at the top, and at the bottom, that are a blurred copy; 0 without."""
        height = grey.shape[1]
        if min(height, grey.shape[2]) < LEAST_PX:
            return 0
        grey = grey.astype(np.float32)
        detail = np.abs(np.diff(grey, n=2, axis=2)).mean((0, 2))
        steps = np.abs(np.diff(grey, axis=1))  # steps[:, y] are from row y to y + 1
        jump = steps.mean((0, 2))
        counts = np.arange(int(0.05 * height), int(WIDEST * height))
        seams = np.minimum(jump[counts - 1], jump[height - 1 - counts])
        count = int(counts[np.argmax(seams)])
        inner = slice(count + 2, height - count - 3)
        outside = np.concatenate([detail[: count - 2], detail[height - count + 2 :]]).mean()
        both = steps[:, [count - 1, height - 1 - count]]
        along = float(np.median((both >= self.contrast).mean((1, 2))))
        clear = along >= self.along_seam and seams.max() >= self.seam * jump[inner].mean()
        return count if clear and outside <= self.blurred * detail[inner].mean() else 0


def _flat(beyond: Float[np.ndarray, "h"], between: float) -> int:
    """Rows up to the last flat one before a row with a larger share `beyond` than `between`."""
    end = int(np.argmax(beyond > between)) if (beyond > between).any() else len(beyond)
    flat = np.flatnonzero(beyond[:end] <= FEW)
    return int(flat[-1]) + 1 if len(flat) else 0


def _edge(away: Float[np.ndarray, "h"], flat: int) -> int:
    """Row at which the picture begins: the largest step just after `flat` rows of a bar."""
    if not flat or flat >= len(away):
        return 0
    steps = np.diff(away)[flat - 1 : flat - 1 + RINGING_PX]
    return flat + int(np.argmax(steps))


def inside(frames: Frames, box: Sequence[int], width_px: int, height_px: int) -> Frames:
    """The part of frames (... h w 3), of any size, that a box in pixels of the video covers."""
    height, width = frames.shape[-3:-1]
    left, right = (round(side * width / width_px) for side in (box[0], box[2]))
    top, bottom = (round(side * height / height_px) for side in (box[1], box[3]))
    return frames[..., top : max(bottom, top + 1), left : max(right, left + 1), :]
