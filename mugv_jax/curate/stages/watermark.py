# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Signs that stand still over a moving picture: watermarks, logos, station marks.

    still edge    the gradient along its mean direction is strong in nearly all frames

A sign has the same edges in every frame; a moving picture has other ones. While the camera stands
still, nothing can be said: the background has still edges too. Corners are looked at alone, as the
camera may follow what is in the middle. ContentV 3 removes watermarks and logos.
"""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from mugv_jax.axes import Bool, Float, Frames
from mugv_jax.curate.packages import needed
from mugv_jax.curate.stage import Row, Stage
from mugv_jax.video.optical_flow import luma

RARELY = 10  # per cent of the frames, in which an edge may be hidden


@dataclasses.dataclass(frozen=True, kw_only=True)
class Watermark(Stage):
    """How much more of one corner still edges cover; None while the camera stands still.

    strength: smallest gradient of a still edge, of 255 per pixel.
    camera: smallest motion of the camera, as `motion` measures it, for anything to be said.
    """

    NAME = "watermark"
    READS = ("mid_frames", "camera_motion")
    WRITES: ClassVar = {"watermark": "float64"}
    PACKAGES = ("cv2",)

    strength: float = 9.0
    camera: float = 2.0

    def run(self, rows: Sequence[Row]) -> list[Row]:
        return [{**row, "watermark": self._of(row)} for row in rows]

    def _of(self, row: Row) -> float | None:
        moves = row["camera_motion"] >= self.camera
        return self.score(row["mid_frames"]) if moves else None

    def score(self, frames: Frames) -> float:
        """Share of still edges in the corner that has most, less that of the second."""
        grey = np.stack([luma(frame) for frame in frames]).astype(np.float32)
        shares = sorted(float(part.mean()) for part in _corners(self._still(grey)))
        return shares[-1] - shares[-2]

    def _still(self, grey: Float[np.ndarray, "k h w"]) -> Bool[np.ndarray, "h w"]:
        """Where an edge stands still."""
        cv2 = needed("cv2")
        gradients = np.stack([
            np.stack([cv2.Sobel(each, cv2.CV_32F, 1, 0, scale=0.25),
                      cv2.Sobel(each, cv2.CV_32F, 0, 1, scale=0.25)], -1)
            for each in grey
        ])  # fmt: skip
        mean = gradients.mean(0)
        along = mean / np.maximum(np.linalg.norm(mean, axis=-1, keepdims=True), 1e-6)
        always = np.percentile((gradients * along).sum(-1), RARELY, axis=0)
        return always >= self.strength


def _corners(picture: np.ndarray) -> list[np.ndarray]:
    """Four corners of a picture (h w)."""
    height, width = picture.shape
    down, across = round(height * 0.32), round(width * 0.25)
    return [
        picture[rows, columns]
        for rows in (slice(0, down), slice(height - down, height))
        for columns in (slice(0, across), slice(width - across, width))
    ]
