# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Sharpness of a clip: variance of the Laplacian of its key frames, and what blurring changes.

    sharpness = median over key frames of Var(L * Y),   L = [[0, 1, 0], [1, -4, 1], [0, 1, 0]]
    blur      = 1 - sum max(0, |D Y| - |D B|) / sum |D Y|,   B = Y averaged over 9 pixels along D
    defocus   = blur / (1 + sharpness / 40)

Y is the luma in 0 to 255. MUG-V 2.1 keeps clips in [200, 2000]: below they are blurred, above they
are noise or graphics. The value depends on the resolution, so frames are measured at one: their
short side is that of key frames, 480 pixels unless the video is smaller. A picture with little
contrast or detail has a low variance, however sharp; the second measure (Crete et al. 2007), 0 for
sharp to 1 for blurred, compares differences D of neighbours before and after a further blur. It is
high for motion blur and a shallow depth of field too, whose edges still give some variance:
`defocus` is high only if both agree.
"""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from mugv_jax.axes import Frames
from mugv_jax.curate.packages import needed
from mugv_jax.curate.stage import Row, Stage
from mugv_jax.curate.stages.borders import inside

BLUR_PX = 9
HALF = 40.0  # sharpness that halves the effect of blur
DARK, BRIGHT = 24, 232  # of 255: luma below which a pixel is nearly black, above which white


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sharpness(Stage):
    """Variance of the Laplacian, and the shares of nearly black and nearly white pixels."""

    NAME = "sharpness"
    READS = ("key_frames",)
    WRITES: ClassVar = dict.fromkeys(("sharpness", "blur", "defocus", "dark", "bright"), "float64")
    PACKAGES = ("cv2",)

    def run(self, rows: Sequence[Row]) -> list[Row]:
        return [{**row, **self._scores(_picture(row))} for row in rows]

    def _scores(self, frames: Frames) -> Row:
        grey = [luma(frame) for frame in frames]
        sharpness = float(np.median([laplacian_variance(each) for each in grey]))
        blur = float(np.median([perceptual_blur(each) for each in grey]))
        return {
            "sharpness": sharpness,
            "blur": blur,
            "defocus": blur / (1 + sharpness / HALF),
            "dark": float(np.mean([(each < DARK).mean() for each in grey])),
            "bright": float(np.mean([(each > BRIGHT).mean() for each in grey])),
        }


def _picture(row: Row) -> Frames:
    """Key frames without the bars at their borders, whose edges are sharp."""
    frames, box = row["key_frames"], row.get("content_box")
    return inside(frames, box, row["width_px"], row["height_px"]) if box else frames


def luma(frame: Frames) -> np.ndarray:
    """Luma of BT.601, uint8 (h w), of a frame (h w 3)."""
    cv2 = needed("cv2")
    return cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY)


def laplacian_variance(grey: np.ndarray) -> float:
    """Variance of the Laplacian of a grey picture (h w) in 0 to 255."""
    cv2 = needed("cv2")
    return float(cv2.Laplacian(grey, cv2.CV_64F).var())


def perceptual_blur(grey: np.ndarray) -> float:
    """Blur of a grey picture (h w), 0 to 1: that of the direction which has more of it."""
    cv2 = needed("cv2")
    found = []
    for axis, size in ((0, (1, BLUR_PX)), (1, (BLUR_PX, 1))):
        before = np.abs(np.diff(grey.astype(np.float32), axis=axis))
        after = np.abs(np.diff(cv2.blur(grey.astype(np.float32), size), axis=axis))
        lost = np.maximum(before - after, 0).sum()
        found.append(1 - float(lost / max(before.sum(), 1e-6)))
    return max(found)
