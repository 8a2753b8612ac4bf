# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Optical flow of two frames: DIS of OpenCV, which needs no weights, or RAFT of torchvision.

Flow is in pixels of the frames, (x, y) at every pixel of the first one.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mugv_jax.axes import Float, Frames
from mugv_jax.files import existing_file
from mugv_jax.packages import needed, require

DIS, RAFT = "dis", "raft"
RAFT_MULTIPLE = 8  # sides of the frames that RAFT reads
LEAST_PX = 16  # sides of the frames that DIS reads; smaller ones end the process
EXTRA, TORCHVISION = "mugv_jax[eval]", "torchvision"
Flow = Float[np.ndarray, "h w 2"]
FlowOf = Callable[[Frames, Frames], Flow]


def check_flow(raft_weights: str | None = None) -> None:
    """Check that `flow_by` has what it needs.

    Raises:
        ValueError: a package that is not installed, or no such file.
    """
    if raft_weights:
        existing_file(raft_weights, "weights of RAFT")
        require("torch", "torchvision", install=TORCHVISION)
    else:
        require("cv2", install=EXTRA)


def flow_by(raft_weights: str | None = None) -> FlowOf:
    """The function of two frames that finds their flow: RAFT's if there are weights, else DIS.

    raft_weights: file of torchvision's raft_large.

    Raises:
        ValueError: what `check_flow` refuses.
    """
    check_flow(raft_weights)
    return raft(raft_weights) if raft_weights else dis_flow


def luma(frame: Frames) -> np.ndarray:
    """Luma of BT.601, uint8 (h w), of a frame (h w 3)."""
    cv2 = needed("cv2", install=EXTRA)
    return cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY)


def dis_flow(a: Frames, b: Frames) -> Flow:
    """Flow from frame a to b (h w 3): DIS (arXiv:1603.03590), preset `medium`."""
    cv2 = needed("cv2", install=EXTRA)
    dis = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    height, width = a.shape[:2]
    filled = [(0, max(0, LEAST_PX - side)) for side in (height, width)]
    grey = [np.pad(luma(frame), filled, mode="edge") for frame in (a, b)]
    return dis.calc(*grey, None)[:height, :width]


def raft(weights: str) -> FlowOf:
    """The function of two frames that finds their flow by RAFT (arXiv:2003.12039).

    weights: file of torchvision's raft_large.
    """
    torch = needed("torch", install=TORCHVISION)
    models = needed("torchvision.models.optical_flow", install=TORCHVISION)
    model = models.raft_large()
    model.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    model.eval()

    def flow(a: Frames, b: Frames) -> Flow:
        height, width = (side // RAFT_MULTIPLE * RAFT_MULTIPLE for side in a.shape[:2])
        left_out = [(0, a.shape[0] - height), (0, a.shape[1] - width), (0, 0)]

        def picture(frame: Frames) -> Any:
            pixels = torch.from_numpy(np.ascontiguousarray(frame[:height, :width]))
            return pixels.permute(2, 0, 1)[None].float() / 127.5 - 1

        with torch.inference_mode():
            found = model(picture(a), picture(b))[-1][0].permute(1, 2, 0).numpy()
        return np.pad(found, left_out, mode="edge")

    return flow


def mean_length(flows: Sequence[Flow]) -> float:
    """Mean length of the vectors of flows (h w 2)."""
    return float(np.mean([np.linalg.norm(flow, axis=-1).mean() for flow in flows]))
