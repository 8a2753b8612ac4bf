# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Signature of a clip, by which copies of it are found: a few frames as pictures of 24 x 24 pixels.

Bars at the border are cut off before, so that a letterboxed copy has the signature of its original.
"""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from mugv_jax.axes import Frames
from mugv_jax.bounds import require_at_least
from mugv_jax.curate.packages import needed
from mugv_jax.curate.stage import Row, Stage
from mugv_jax.curate.stages.borders import inside
from mugv_jax.curate.stages.frames import evenly

SIDE_PX = 24  # of a picture; 3 colours
BOX = "content_box"  # column of the measure `borders`: left, top, right, bottom in pixels


@dataclasses.dataclass(frozen=True, kw_only=True)
class Signature(Stage):
    """Pictures of `pictures` evenly spaced frames, uint8 (k 24 24 3) as bytes."""

    NAME = "signature"
    READS = ("small_frames", "width_px", "height_px")
    WRITES: ClassVar = {"signature": "binary"}
    PACKAGES = ("cv2",)

    pictures: int = 10

    def __post_init__(self):
        require_at_least(1, self, "pictures")

    def run(self, rows: Sequence[Row]) -> list[Row]:
        return [{**row, "signature": self._of(row).tobytes()} for row in rows]

    def _of(self, row: Row) -> Frames:
        frames, box = row["small_frames"], row.get(BOX)
        chosen = frames[evenly(len(frames), self.pictures)]
        if box:
            chosen = inside(chosen, box, row["width_px"], row["height_px"])
        return np.stack([_square(each) for each in chosen])


def _square(frame: Frames) -> Frames:
    cv2 = needed("cv2")
    return cv2.resize(frame, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA)


def pictures_of(signature: bytes) -> Frames:
    """Pictures (k 24 24 3) of a stored signature."""
    return np.frombuffer(signature, np.uint8).reshape(-1, SIDE_PX, SIDE_PX, 3)
