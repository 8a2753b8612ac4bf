# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Signs that stand still over a moving picture: watermarks, logos, station marks.

    gradient of the mean over time    strong where an edge stands still
    its agreement over time           |mean_t g| / mean_t |g|, 1 for an edge that never changes

A still sign has edges of one direction in every frame; a moving picture has other ones in each. Of
a clip in which nothing moves, nothing can be said. ContentV 3 removes watermarks and logos.
"""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from mugv_jax.axes import Float, Frames
from mugv_jax.curate.packages import needed
from mugv_jax.curate.stage import Row, Stage
from mugv_jax.curate.stages.sharpness import luma


@dataclasses.dataclass(frozen=True, kw_only=True)
class Watermark(Stage):
    """How much more of one corner, or of the middle, still edges cover; None without motion.

    agreement: smallest agreement of a still edge.
    strength: smallest mean gradient of a still edge, of 255 per pixel.
    moves: smallest share of edges that must change for anything to be said.
    """

    NAME = "watermark"
    READS = ("mid_frames",)
    WRITES: ClassVar = {"watermark": "float64"}
    PACKAGES = ("cv2",)

    agreement: float = 0.85
    strength: float = 12.0
    moves: float = 0.6

    def run(self, rows: Sequence[Row]) -> list[Row]:
        return [{**row, "watermark": self.score(row["mid_frames"])} for row in rows]

    def score(self, frames: Frames) -> float | None:
        """Share of still edges in the region that has most, above the median of all regions."""
        grey = np.stack([luma(frame) for frame in frames]).astype(np.float32)
        still, edges = self._still(grey)
        if not edges.any() or (edges & ~still).sum() < self.moves * edges.sum():
            return None
        shares = [float(part.mean()) for part in _regions(still)]
        return max(shares) - float(np.median(shares))

    def _still(self, grey: Float[np.ndarray, "k h w"]) -> tuple[np.ndarray, np.ndarray]:
        """Where an edge stands still, and where there is one in any frame."""
        cv2 = needed("cv2")
        gradients = np.stack([
            np.stack([cv2.Sobel(each, cv2.CV_32F, 1, 0, scale=0.25),
                      cv2.Sobel(each, cv2.CV_32F, 0, 1, scale=0.25)], -1)
            for each in grey
        ])  # fmt: skip
        lengths = np.linalg.norm(gradients, axis=-1).mean(0)
        mean = np.linalg.norm(gradients.mean(0), axis=-1)
        edges = lengths >= self.strength / 2
        still = (mean >= self.strength) & (mean >= self.agreement * lengths)
        return still, edges


def _regions(picture: np.ndarray) -> list[np.ndarray]:
    """Four corners and the middle of a picture (h w)."""
    height, width = picture.shape
    down, across = round(height * 0.32), round(width * 0.25)
    corners = [
        picture[rows, columns]
        for rows in (slice(0, down), slice(height - down, height))
        for columns in (slice(0, across), slice(width - across, width))
    ]
    middle = picture[down : height - down, across : width - across]
    return [*corners, middle]
