# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""A moving picture of a clip for the report: a small animated WebP."""

import dataclasses
import io
from collections.abc import Sequence
from typing import ClassVar

from PIL import Image

from mugv_jax.bounds import require_at_least
from mugv_jax.curate.stage import Row, Stage
from mugv_jax.curate.stages.frames import evenly


@dataclasses.dataclass(frozen=True, kw_only=True)
class Thumbnail(Stage):
    """Animated WebP of some frames, which lasts as long as the clip.

    pictures: frames of it, at most those of the clip.
    side_px: largest short side.
    quality: of WebP, 0 to 100; 40 gives about 12 kB with ten pictures.
    """

    NAME = "thumbnail"
    READS = ("mid_frames", "seconds")
    WRITES: ClassVar = {"thumbnail": "binary"}

    pictures: int = 10
    side_px: int = 72
    quality: int = 40

    def __post_init__(self):
        require_at_least(1, self, "pictures")
        require_at_least(16, self, "side_px")

    def run(self, rows: Sequence[Row]) -> list[Row]:
        return [{**row, "thumbnail": self._animated(row)} for row in rows]

    def _animated(self, row: Row) -> bytes:
        frames = row["mid_frames"]
        chosen = frames[evenly(len(frames), min(self.pictures, len(frames)))]
        pictures = [Image.fromarray(each) for each in chosen]
        for picture in pictures:
            picture.thumbnail((4 * self.side_px, self.side_px))
        content = io.BytesIO()
        pictures[0].save(
            content, "WEBP", save_all=True, append_images=pictures[1:], loop=0, method=4,
            quality=self.quality, duration=max(20, round(1000 * row["seconds"] / len(pictures))),
        )  # fmt: skip
        return content.getvalue()
