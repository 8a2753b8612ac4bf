# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Writing in the picture: its share of the area, and where subtitles stand.

Lines are found by the detector of RapidOCR (PP-OCR's weights, in its package). ContentV 3 crops
subtitles and drops clips with much text; MUG-V 2.1 drops text overlays.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from mugv_jax.axes import Float, Frames
from mugv_jax.curate.packages import needed
from mugv_jax.curate.stage import Row, Stage

Box = Float[np.ndarray, "4 2"]
LOWER = 0.7  # of the height: a subtitle's line begins below
SAME = 0.02  # of the height: a line that stands still moves by less


@dataclasses.dataclass(frozen=True, kw_only=True)
class Text(Stage):
    """Share of text, number of lines, their words, and the top of subtitles.

    Share and number are those of the median key frame: a pattern is taken for text in one at most.

    side_px: frames are scaled to this short side before; smaller is faster and misses small text.
    confidence: smallest score of a line by the recogniser; patterns that look like text have less.
    threads: of onnxruntime.
    """

    NAME = "text"
    READS = ("key_frames", "height_px")
    WRITES: ClassVar = {
        "text_share": "float64",
        "text_lines": "int64",
        "text": "list<string>",
        "subtitle_top_px": "int64",
    }
    MODEL = True
    PACKAGES = ("cv2", "rapidocr", "onnxruntime")

    side_px: int = 320
    confidence: float = 0.6
    threads: int = 1

    def run(self, rows: Sequence[Row]) -> list[Row]:
        return [{**row, **self._scores(row["key_frames"], row["height_px"])} for row in rows]

    @functools.cached_property
    def _engine(self) -> Any:
        rapidocr = needed("rapidocr")
        return rapidocr.RapidOCR(
            params={
                "Global.log_level": "critical",
                "Global.use_cls": False,
                "EngineConfig.onnxruntime.intra_op_num_threads": self.threads,
                "EngineConfig.onnxruntime.inter_op_num_threads": 1,
            }
        )

    def _scores(self, frames: Frames, height_px: int) -> Row:
        found = [self.lines(frame) for frame in frames]
        height, width = frames.shape[1:3]
        shares = [sum(_area(box) for box, _ in lines) / (height * width) for lines in found]
        top = _subtitle_top([[box for box, _ in lines] for lines in found], height)
        words = dict.fromkeys(word for lines in found for _, word in lines)
        return {
            "text_share": float(np.median(shares)),
            "text_lines": round(np.median([len(lines) for lines in found])),
            "text": list(words),
            "subtitle_top_px": None if top is None else int(top * height_px / height),
        }

    def lines(self, frame: Frames) -> list[tuple[Box, str]]:
        """Boxes (corners in pixels, x before y) and words of the lines in a frame (h w 3)."""
        cv2 = needed("cv2")
        height, width = frame.shape[:2]
        scale = self.side_px / min(height, width)
        size = round(width * scale), round(height * scale)
        picture = cv2.resize(frame, size, interpolation=cv2.INTER_LINEAR)
        result = self._engine(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        if result.boxes is None:
            return []
        return [
            (np.asarray(box) / scale, str(word))
            for box, word, score in zip(result.boxes, result.txts, result.scores, strict=True)
            if score >= self.confidence and len(str(word).strip()) > 1
        ]


def _area(box: Box) -> float:
    """Area of a quadrilateral, by the shoelace formula."""
    x, y = box.T
    return float(abs(x @ np.roll(y, 1) - y @ np.roll(x, 1)) / 2)


def _subtitle_top(found: Sequence[Sequence[Box]], height: int) -> float | None:
    """Top of the highest line in the lower part that stands in most frames; None without one."""
    lower = [
        [top for box in boxes if (top := box[:, 1].min()) >= LOWER * height] for boxes in found
    ]
    tops = [min(each, default=None) for each in lower]
    there = [top for top in tops if top is not None]
    if 2 * len(there) <= len(found) or max(there) - min(there) > SAME * height:
        return None
    return float(min(there))
