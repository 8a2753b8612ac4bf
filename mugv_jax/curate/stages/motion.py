# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Motion of a clip: of everything, of the camera, and of what moves before it.

    motion       mean length of the optical flow of three evenly spaced pairs of frames
    camera       mean length of the background's flow: a perspective transform, fitted to the flow
    foreground   mean length of flow - background's flow; and its share of the area

What the background's flow explains is no foreground, whatever the flow says: a surface without
texture has none of its own, and what comes into view has none at all. Nor is what stays at its
place in most pairs while the camera moves, such as captions and watermarks. An object that the
camera follows does not stay at one place over the clip.

All are in pixels between neighbouring frames of a video 1280 pixels wide. MUG-V 2.1 takes RAFT's
flow and keeps clips in [1, 20]; ContentV 3 fits the perspective transform. The flow here is DIS of
OpenCV by default, which needs no weights; RAFT (arXiv:2003.12039) of torchvision can be chosen.
docs/curation.md has DIS measured against known shifts.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from mugv_jax.axes import Bool, Float, Frames
from mugv_jax.curate.packages import needed
from mugv_jax.curate.stage import Row, Stage
from mugv_jax.curate.stages.borders import inside
from mugv_jax.video.optical_flow import (
    DIS,
    RAFT,
    Flow,
    FlowOf,
    check_flow,
    flow_by,
    luma,
    mean_length,
)

REFERENCE_PX = 1280  # width in whose pixels motion is stated
GRID = 8  # every how many pixels the flow is sampled for the transform
SEED = 1  # of RANSAC
CONTRAST = 50.0  # standard deviation of the luma of a picture of full contrast, of 255
LEAST_SCALE = 0.3  # below, an error is the codec's
STILL_PX = 0.5  # flow of a sign, at the size of the pairs
HALO_PX = 7  # pixels around a sign whose flow is a mixture


@dataclasses.dataclass(frozen=True, kw_only=True)
class Motion(Stage):
    """Mean lengths of flow in pixels of a frame 1280 wide; foreground with its share of the area.

    flow: "dis" or "raft".
    raft_weights: file of torchvision's raft_large, for "raft".
    inlier_px: largest distance, at the size of the pairs, of the background from its transform.
    moves_px: smallest difference from the background, at that size, that counts as foreground.
    unexplained: smallest error of the background's transform there, of 255; in a picture of less
        contrast, in proportion (`error_scale`).
    """

    NAME = "motion"
    READS = ("pair_frames",)
    WRITES: ClassVar = {
        "motion": "float64",
        "camera_motion": "float64",
        "foreground_motion": "float64",
        "foreground_share": "float64",
    }
    PACKAGES = ("cv2",)
    MODEL = True

    flow: str = DIS
    raft_weights: str = ""
    inlier_px: float = 0.5
    moves_px: float = 0.6
    unexplained: float = 10.0

    def __post_init__(self):
        if self.flow not in (DIS, RAFT):
            raise ValueError(f"flow={self.flow!r} must be {DIS} or {RAFT}.")
        if (self.flow == RAFT) != bool(self.raft_weights):
            raise ValueError(
                f"flow={self.flow!r} and raft_weights={self.raft_weights!r}: set both for RAFT, "
                "whose weights torchvision publishes as raft_large, or neither."
            )

    def check(self) -> None:
        super().check()
        if self.flow == RAFT:
            check_flow(self.raft_weights)

    def run(self, rows: Sequence[Row]) -> list[Row]:
        return [{**row, **self._scores(self._picture(row))} for row in rows]

    @staticmethod
    def _picture(row: Row) -> Frames:
        """Pairs (p 2 h w 3) without the bars at their borders, if those were looked for."""
        frames, box = row["pair_frames"], row.get("content_box")
        return frames if not box else inside(frames, box, row["width_px"], row["height_px"])

    @functools.cached_property
    def _flow(self) -> FlowOf:
        return flow_by(self.raft_weights)

    def _scores(self, pairs: Frames) -> Row:
        flows = [self._flow(a, b) for a, b in pairs]
        backgrounds = [background_flow(flow, self.inlier_px) for flow in flows]
        errors = [unexplained(a, b, at) for (a, b), at in zip(pairs, backgrounds, strict=True)]
        signs = signs_of(pairs, flows, errors)
        front, share = np.mean(
            [
                self._foreground(flow - background, error / error_scale(a), signs)
                for (a, _), flow, background, error in zip(
                    pairs, flows, backgrounds, errors, strict=True
                )
            ],
            axis=0,
        )
        scale = REFERENCE_PX / pairs.shape[3]
        return {
            "motion": mean_length(flows) * scale,
            "camera_motion": mean_length(backgrounds) * scale,
            "foreground_motion": float(front * scale),
            "foreground_share": float(share),
        }

    def _foreground(
        self,
        difference: Flow,
        error: Float[np.ndarray, "h w"],
        signs: Bool[np.ndarray, "h w"],
    ) -> tuple[float, float]:
        """Mean length of the foreground's flow against the background's, and its share."""
        length = np.linalg.norm(difference, axis=-1)
        moves = (length > self.moves_px) & (error > self.unexplained) & ~signs
        return float(length[moves].mean()) if moves.any() else 0.0, float(moves.mean())


def error_scale(frame: Frames) -> float:
    """What an error in a frame (h w 3) counts for, 1 in one of full contrast."""
    return float(np.clip(luma(frame).std() / CONTRAST, LEAST_SCALE, 1))


def signs_of(
    pairs: Frames, flows: Sequence[Flow], errors: Sequence[Float[np.ndarray, "h w"]]
) -> Bool[np.ndarray, "h w"]:
    """Where most pairs show something that stands still, and that the moving background is not."""
    cv2 = needed("cv2")
    still = [
        (np.linalg.norm(flow, axis=-1) < STILL_PX)
        & (unexplained(a, b, np.zeros_like(flow)) < error / 2)
        for (a, b), flow, error in zip(pairs, flows, errors, strict=True)
    ]
    signs = 2 * np.sum(still, axis=0) > len(still)
    return cv2.dilate(signs.astype(np.uint8), np.ones((HALO_PX, HALO_PX), np.uint8)) > 0


def background_flow(flow: Flow, inlier_px: float) -> Flow:
    """Flow (h w 2) of the perspective transform that most of `flow` follows."""
    cv2 = needed("cv2")
    height, width = flow.shape[:2]
    y, x = np.mgrid[GRID // 2 : height : GRID, GRID // 2 : width : GRID]
    start = np.stack([x, y], -1).reshape(-1, 2).astype(np.float32)
    end = start + flow[y, x].reshape(-1, 2)
    cv2.setRNGSeed(SEED)
    matrix, _ = cv2.findHomography(start, end, cv2.RANSAC, inlier_px)
    if matrix is None:
        return np.zeros_like(flow)
    y, x = np.mgrid[0:height, 0:width]
    every = np.stack([x, y], -1).astype(np.float32)
    return cv2.perspectiveTransform(every, matrix) - every


def unexplained(a: Frames, b: Frames, flow: Flow) -> Float[np.ndarray, "h w"]:
    """Error, of 255, of frame a drawn from frame b by `flow`, averaged over 5 x 5 pixels.

    It is 0 where the flow leads out of the frame.
    """
    cv2 = needed("cv2")
    height, width = flow.shape[:2]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    places = x + flow[..., 0], y + flow[..., 1]
    drawn = cv2.remap(luma(b), *(each.astype(np.float32) for each in places), cv2.INTER_LINEAR)
    error = np.abs(drawn.astype(np.float32) - luma(a))
    there = [(at >= 0) & (at < side - 1) for at, side in zip(places, (width, height), strict=True)]
    return cv2.blur(np.where(there[0] & there[1], error, 0).astype(np.float32), (5, 5))
