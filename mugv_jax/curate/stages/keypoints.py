# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Keypoints of a clip, by which a near duplicate is told from another picture with its layout.

SIFT (Lowe 2004) of OpenCV on key frames. Two clips show the same if a similarity transform carries
many keypoints of a frame of one to keypoints with the same descriptor in a frame of the other.
A mirrored picture has the descriptors of the picture itself in another order of their 4 x 4 cells
and 8 directions, so that it need not be computed.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np

from mugv_jax.axes import Frames
from mugv_jax.bounds import require_at_least
from mugv_jax.curate.packages import needed
from mugv_jax.curate.stage import Row, Stage
from mugv_jax.curate.stages.borders import inside
from mugv_jax.video.optical_flow import luma

SIDE_PX = 256  # short side of the frames in which keypoints are looked for
POINT = np.dtype([("frame", "u1"), ("x", "<f2"), ("y", "<f2"), ("descriptor", "u1", (4, 4, 8))])
DISTINCT = 0.8  # largest distance of the best match, of that of the second (Lowe)
CLOSE = 0.016  # of the short side: largest error of a keypoint that follows a transform
MOST_SCALE = 2.5  # by which one of two frames may be enlarged
FEWEST = 4  # keypoints of a frame that is compared
SEED = 0  # of RANSAC
BACKWARDS = -np.arange(8) % 8  # directions of a descriptor, mirrored


@dataclasses.dataclass(frozen=True, kw_only=True)
class Keypoints(Stage):
    """The strongest `points` keypoints of every key frame, as bytes of an array of POINT.

    x, y are in short sides of the frame.
    """

    NAME = "keypoints"
    READS = ("key_frames", "width_px", "height_px")
    WRITES: ClassVar = {"keypoints": "binary"}
    PACKAGES = ("cv2",)

    points: int = 100

    def __post_init__(self):
        require_at_least(1, self, "points")

    def run(self, rows: Sequence[Row]) -> list[Row]:
        return [{**row, "keypoints": self._of(row).tobytes()} for row in rows]

    def _of(self, row: Row) -> np.ndarray:
        frames, box = row["key_frames"], row.get("content_box")
        if box:
            frames = inside(frames, box, row["width_px"], row["height_px"])
        return np.concatenate([self._found(frame, number) for number, frame in enumerate(frames)])

    def _found(self, frame: Frames, number: int) -> np.ndarray:
        cv2 = needed("cv2")
        scale = min(1, SIDE_PX / min(frame.shape[:2]))
        size = [max(1, round(side * scale)) for side in frame.shape[1::-1]]
        grey = cv2.resize(luma(frame), size, interpolation=cv2.INTER_AREA)
        places, descriptors = cv2.SIFT_create(self.points).detectAndCompute(grey, None)
        made = np.zeros(min(len(places), self.points), POINT)  # OpenCV may find one more
        if len(made):
            made["frame"] = number
            xy = np.array([each.pt for each in places[: len(made)]]) / min(size)
            made["x"], made["y"] = xy.T
            made["descriptor"] = descriptors[: len(made)].reshape(-1, 4, 4, 8)
        return made


def agreeing(a: bytes, b: bytes) -> int:
    """Keypoints of two clips that one transform explains, of the two frames that agree best.

    The second clip is compared mirrored too.
    """
    first, second = np.frombuffer(a, POINT), np.frombuffer(b, POINT)
    others = [*_frames(second), *_frames(mirrored(second))]
    return max((_inliers(x, y) for x in _frames(first) for y in others), default=0)


def mirrored(points: np.ndarray) -> np.ndarray:
    """Keypoints of the picture with left and right exchanged; x is negative."""
    made = points.copy()
    made["x"] = -made["x"]
    made["descriptor"] = points["descriptor"][:, ::-1][..., BACKWARDS]
    return made


def _frames(points: np.ndarray) -> Iterator[np.ndarray]:
    for number in np.unique(points["frame"]):
        yield points[points["frame"] == number]


def _inliers(a: np.ndarray, b: np.ndarray) -> int:
    """Keypoints of two frames that one similarity transform carries to each other."""
    cv2 = needed("cv2")
    if min(len(a), len(b)) < FEWEST:
        return 0
    x, y = (each["descriptor"].reshape(len(each), -1).astype(np.float32) for each in (a, b))
    pairs = cv2.BFMatcher(cv2.NORM_L2).knnMatch(x, y, k=2)
    # Of keypoints that are matched with one, the best, or a transform to a point would explain all.
    closest: dict[int, Any] = {}
    for best, second in pairs:
        other = closest.get(best.trainIdx)
        if best.distance < DISTINCT * second.distance and (
            other is None or best.distance < other.distance
        ):
            closest[best.trainIdx] = best
    good = list(closest.values())
    if len(good) < FEWEST:
        return 0
    start, end = (
        np.stack([each["x"], each["y"]], -1)[at].astype(np.float32)
        for each, at in (
            (a, [match.queryIdx for match in good]),
            (b, [match.trainIdx for match in good]),
        )
    )
    cv2.setRNGSeed(SEED)
    matrix, follow = cv2.estimateAffinePartial2D(
        start, end, method=cv2.RANSAC, ransacReprojThreshold=CLOSE
    )
    if matrix is None or not 1 / MOST_SCALE <= np.hypot(*matrix[:, 0]) <= MOST_SCALE:
        return 0
    return int(follow.sum())
