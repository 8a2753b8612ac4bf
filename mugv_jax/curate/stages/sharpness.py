# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Sharpness of a clip: variance of the Laplacian of its key frames, and how steep its edges are.

    sharpness = median over key frames of Var(L * Y),   L = [[0, 1, 0], [1, -4, 1], [0, 1, 0]]
    steepness = 98th percentile of |D Y| / R,   where R >= 40

Y is the luma in 0 to 255, D the larger difference to the next pixel, right or below, and R the
range of Y in the 9 x 9 pixels around. MUG-V 2.1 keeps clips whose sharpness is in [200, 2000]:
below they are blurred, above they are noise or graphics. It depends on resolution, contrast and
detail, so frames are measured at one resolution: their short side is that of key frames, 480 pixels
unless the video is smaller.

The steepness says which share of an edge's height lies between two neighbouring pixels, for the
steepest of the strong edges: 1 for a step, 1 / (s sqrt(2 pi)) for one that a Gaussian of s pixels
has blurred. A picture with one thing in focus has a high one, however much is out of focus or
plain. None if the whole picture has too little contrast for an edge.
"""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from mugv_jax.axes import Frames
from mugv_jax.curate.packages import needed
from mugv_jax.curate.stage import Row, Stage
from mugv_jax.curate.stages.borders import inside
from mugv_jax.video.optical_flow import luma

WINDOW_PX = 9  # in which an edge's height is measured
EDGE = 40  # of 255: least height of an edge, above noise and blocks of codecs
STEEPEST = 98  # percentile
FEWEST = 50  # pixels beside strong edges, for anything to be said
DARK, BRIGHT = 24, 232  # of 255: luma below which a pixel is nearly black, above which white


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sharpness(Stage):
    """Sharpness, steepness of edges, and the shares of nearly black and nearly white pixels."""

    NAME = "sharpness"
    READS = ("key_frames",)
    WRITES: ClassVar = dict.fromkeys(("sharpness", "steepness", "dark", "bright"), "float64")
    PACKAGES = ("cv2",)

    def run(self, rows: Sequence[Row]) -> list[Row]:
        return [{**row, **self._scores(_picture(row))} for row in rows]

    def _scores(self, frames: Frames) -> Row:
        grey = [luma(frame) for frame in frames]
        steep = [found for each in grey if (found := steepness(each)) is not None]
        return {
            "sharpness": float(np.median([laplacian_variance(each) for each in grey])),
            "steepness": float(np.median(steep)) if steep else None,
            "dark": float(np.mean([(each < DARK).mean() for each in grey])),
            "bright": float(np.mean([(each > BRIGHT).mean() for each in grey])),
        }


def _picture(row: Row) -> Frames:
    """Key frames without the bars at their borders, whose edges are sharp."""
    frames, box = row["key_frames"], row.get("content_box")
    return inside(frames, box, row["width_px"], row["height_px"]) if box else frames


def laplacian_variance(grey: np.ndarray) -> float:
    """Variance of the Laplacian of a grey picture (h w) in 0 to 255."""
    cv2 = needed("cv2")
    return float(cv2.Laplacian(grey, cv2.CV_64F).var())


def steepness(grey: np.ndarray) -> float | None:
    """Steepness of the edges of a grey picture (h w) in 0 to 255; 0 if contrasts have no edges."""
    cv2 = needed("cv2")
    y = grey.astype(np.float32)
    window = np.ones((WINDOW_PX, WINDOW_PX), np.uint8)
    height = cv2.dilate(y, window) - cv2.erode(y, window)
    step = np.zeros_like(y)
    step[:, :-1] = np.abs(np.diff(y, axis=1))
    step[:-1] = np.maximum(step[:-1], np.abs(np.diff(y, axis=0)))
    strong = height >= EDGE
    if strong.sum() >= FEWEST:
        return float(np.percentile(step[strong] / height[strong], STEEPEST))
    low, high = np.percentile(y, (1, 99))
    return 0.0 if high - low >= EDGE else None
