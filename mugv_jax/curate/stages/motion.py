# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Motion of a clip: of everything, of the camera, and of what moves before it.

    motion       mean length of the optical flow of three evenly spaced pairs of frames
    camera       mean length of the background's flow: a perspective transform, fitted to the flow
    foreground   mean length of flow - background's flow; and its share of the area

What the background's flow explains is no foreground, whatever the flow says: a surface without
texture has none of its own, and what comes into view has none at all.

All are in pixels between neighbouring frames of a video 1280 pixels wide. MUG-V 2.1 takes RAFT's
flow and keeps clips in [1, 20]; ContentV 3 fits the perspective transform. The flow here is DIS of
OpenCV by default, which needs no weights; RAFT (arXiv:2003.12039) of torchvision can be chosen.
docs/curation.md has DIS measured against known shifts.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from mugv_jax.axes import Float, Frames
from mugv_jax.curate.packages import needed
from mugv_jax.curate.stage import Row, Stage
from mugv_jax.curate.stages.borders import inside
from mugv_jax.curate.stages.sharpness import luma
from mugv_jax.files import existing_file

REFERENCE_PX = 1280  # width in whose pixels motion is stated
DIS, RAFT = "dis", "raft"
GRID = 8  # every how many pixels the flow is sampled for the transform
SEED = 1  # of RANSAC
RAFT_MULTIPLE = 8  # sides of the frames that RAFT reads
Flow = Float[np.ndarray, "h w 2"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Motion(Stage):
    """Mean lengths of flow in pixels of a frame 1280 wide; foreground with its share of the area.

    flow: "dis" or "raft".
    raft_weights: file of torchvision's raft_large, for "raft".
    inlier_px: largest distance, at the size of the pairs, of the background from its transform.
    moves_px: smallest difference from the background, at that size, that counts as foreground.
    unexplained: smallest error of the background's transform there, of 255.
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
            needed("torchvision")
            existing_file(self.raft_weights, "raft_weights")

    def run(self, rows: Sequence[Row]) -> list[Row]:
        return [{**row, **self._scores(self._picture(row))} for row in rows]

    @staticmethod
    def _picture(row: Row) -> Frames:
        """Pairs (p 2 h w 3) without the bars at their borders, if those were looked for."""
        frames, box = row["pair_frames"], row.get("content_box")
        return frames if not box else inside(frames, box, row["width_px"], row["height_px"])

    @functools.cached_property
    def _flow(self) -> Callable[[Frames, Frames], Flow]:
        return dis_flow if self.flow == DIS else _raft(self.raft_weights)

    def _scores(self, pairs: Frames) -> Row:
        found = [self._split(a, b) for a, b in pairs]
        scale = REFERENCE_PX / pairs.shape[3]
        whole, camera, front, share = np.mean(found, axis=0)
        return {
            "motion": float(whole * scale),
            "camera_motion": float(camera * scale),
            "foreground_motion": float(front * scale),
            "foreground_share": float(share),
        }

    def _split(self, a: Frames, b: Frames) -> tuple[float, float, float, float]:
        """Mean lengths of a pair's flow, background and foreground, and the last one's share."""
        flow = self._flow(a, b)
        background = background_flow(flow, self.inlier_px)
        rest = np.linalg.norm(flow - background, axis=-1)
        moves = (rest > self.moves_px) & (unexplained(a, b, background) > self.unexplained)
        front = float(rest[moves].mean()) if moves.any() else 0.0
        whole, camera = (float(np.linalg.norm(each, axis=-1).mean()) for each in (flow, background))
        return whole, camera, front, float(moves.mean())


def dis_flow(a: Frames, b: Frames) -> Flow:
    """Optical flow (h w 2) from frame a to b (h w 3), in pixels: DIS (arXiv:1603.03590)."""
    cv2 = needed("cv2")
    dis = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return dis.calc(luma(a), luma(b), None)


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


def _raft(weights: str) -> Callable[[Frames, Frames], Flow]:
    """RAFT's flow, with weights of a file."""
    torch, models = needed("torch"), needed("torchvision.models.optical_flow")
    model = models.raft_large()
    model.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    model.eval()

    def flow(a: Frames, b: Frames) -> Flow:
        height, width = (side // RAFT_MULTIPLE * RAFT_MULTIPLE for side in a.shape[:2])

        def picture(frame: Frames) -> Any:
            pixels = torch.from_numpy(np.ascontiguousarray(frame[:height, :width]))
            return pixels.permute(2, 0, 1)[None].float() / 127.5 - 1

        with torch.inference_mode():
            return model(picture(a), picture(b))[-1][0].permute(1, 2, 0).numpy()

    return flow
