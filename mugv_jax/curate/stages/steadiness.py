# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Faults over time, from all frames of a clip at a small size.

    change_k   mean absolute difference of frames k and k - 1, of 255
    freeze     longest run of frames without change, as a share of the clip
    repeated   share of frames without change, beyond that run: 12 frames a second stored as 24
    flicker    median of |Y_k - (Y_k-1 + Y_k+1) / 2| of the mean luma Y, of 255
    shake      median of |p_k - (p_k-1 + p_k+1) / 2| of the camera's place p, per mille of the width

A codec draws a still picture anew at every keyframe; such a change ends no run (`unchanged`).

p is the sum of the shifts between frames by phase correlation. A camera that pans at a constant
speed has no shake, and a scene that gets darker has no flicker: second differences are zero.
"""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from mugv_jax.axes import Bool, Float, Frames
from mugv_jax.curate.packages import needed
from mugv_jax.curate.stage import Row, Stage
from mugv_jax.video.optical_flow import luma

ALONE = 4  # keyframes are further apart; animation shows a drawing for two or three frames


@dataclasses.dataclass(frozen=True, kw_only=True)
class Steadiness(Stage):
    """Freeze, repeated frames, flicker and shake.

    still: change, of 255, up to which a frame counts as the one before; codecs change that much.
    redrawn: change, of 255, up to which a keyframe counts as the still picture that it draws anew.
    """

    NAME = "steadiness"
    READS = ("small_frames",)
    WRITES: ClassVar = {
        "freeze": "float64",
        "repeated": "float64",
        "flicker": "float64",
        "shake": "float64",
    }
    PACKAGES = ("cv2",)

    still: float = 0.35
    redrawn: float = 2.0

    def run(self, rows: Sequence[Row]) -> list[Row]:
        return [{**row, **self._scores(row["small_frames"])} for row in rows]

    def _scores(self, frames: Frames) -> Row:
        grey = np.stack([luma(frame) for frame in frames]).astype(np.float32)
        same = unchanged(grey, self.still, self.redrawn)
        longest = longest_run(same)
        return {
            "freeze": longest / len(same),
            "repeated": float(same.sum() - longest) / len(same),
            "flicker": median_bend(grey.mean((1, 2))[:, None]),
            "shake": 1000 * median_bend(places(grey)) / grey.shape[2],
        }


def unchanged(
    grey: Float[np.ndarray, "f h w"], still: float, redrawn: float
) -> Bool[np.ndarray, "f-1"]:
    """Whether each frame but the first shows what the one before shows.

    It does if it differs by at most `still`; or if it differs by at most `redrawn` from the frame
    with which the run began, and none of the `ALONE` frames before and after it changes.
    """
    same = np.abs(np.diff(grey, axis=0)).mean((1, 2)) <= still
    found, first = same.copy(), 0
    for k in np.flatnonzero(~same):
        around = np.concatenate([same[max(k - ALONE, 0) : k], same[k + 1 : k + 1 + ALONE]])
        alone = len(around) >= ALONE and around.all()
        if alone and np.abs(grey[k + 1] - grey[first]).mean() <= redrawn:
            found[k] = True
        else:
            first = k + 1
    return found


def longest_run(marked: np.ndarray) -> int:
    """Length of the longest run of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], marked.astype(np.int8), [0]])))
    return int((edges[1::2] - edges[::2]).max(initial=0))


def median_bend(values: Float[np.ndarray, "f d"]) -> float:
    """Median length of a value's distance from the middle of its neighbours; 0 below 3 values."""
    if len(values) < 3:
        return 0.0
    bend = values[1:-1] - (values[:-2] + values[2:]) / 2
    return float(np.median(np.linalg.norm(bend, axis=1)))


def places(grey: Float[np.ndarray, "f h w"]) -> Float[np.ndarray, "f 2"]:
    """Places of the camera in pixels, from shifts between neighbouring frames."""
    cv2 = needed("cv2")
    window = cv2.createHanningWindow(grey.shape[:0:-1], cv2.CV_32F)
    shifts = [cv2.phaseCorrelate(a, b, window)[0] for a, b in itertools.pairwise(grey)]
    return np.concatenate([np.zeros((1, 2)), np.cumsum(np.array(shifts).reshape(-1, 2), axis=0)])
