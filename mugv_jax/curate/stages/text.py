# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Writing in the picture: its share of the area, and where subtitles stand.

Lines are found by the detector of RapidOCR (PP-OCR's weights, in its package), and read: patterns
that look like writing have no words. ContentV 3 crops subtitles and drops clips with much text.
MUG-V 2.1 drops text overlays: lines that stand at the same place in most key frames; in a clip
without motion, the scene's own writing does so too.
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
SAME = 0.03  # of the height: a baseline that stands still moves by less
OVERLAP = 0.6  # intersection over union of a line that stands still


@dataclasses.dataclass(frozen=True, kw_only=True)
class Text(Stage):
    """Shares of text and of overlays, number of lines, their words, and the top of subtitles.

    Shares and number are those of the median key frame: a pattern is taken for text in one at most.

    side_px: frames are scaled to this short side before; smaller is faster and misses small text.
        At 320, lines of 3 % of the height are found.
    confidence: smallest score of a line by the recogniser; patterns that look like text have less.
    threads: of onnxruntime.
    """

    NAME = "text"
    READS = ("key_frames", "height_px")
    WRITES: ClassVar = {
        "text_share": "float64",
        "text_overlay": "float64",
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
                "Det.limit_side_len": self.side_px,  # or it enlarges to 736, 6 times the time
                "EngineConfig.onnxruntime.intra_op_num_threads": self.threads,
                "EngineConfig.onnxruntime.inter_op_num_threads": 1,
            }
        )

    def _scores(self, frames: Frames, height_px: int) -> Row:
        found = [self.lines(frame) for frame in frames]
        height, width = frames.shape[1:3]
        boxes = [[box for box, _ in lines] for lines in found]
        top = _subtitle_top(boxes, height)
        words = dict.fromkeys(word for lines in found for _, word in lines)
        return {
            "text_share": _share(boxes, height * width),
            "text_overlay": _share(_overlays(boxes), height * width),
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
            if score >= self.confidence and _is_word(str(word))
        ]


def _is_word(word: str) -> bool:
    """Whether there are two different letters or digits: round things are read as 0000."""
    return len({letter for letter in word if letter.isalnum()}) > 1


def _area(box: Box) -> float:
    """Area of a quadrilateral, by the shoelace formula."""
    x, y = box.T
    return float(abs(x @ np.roll(y, 1) - y @ np.roll(x, 1)) / 2)


def _share(found: Sequence[Sequence[Box]], area: int) -> float:
    """Share of a frame's area that boxes cover, in the median frame."""
    return float(np.median([sum(map(_area, boxes)) for boxes in found])) / area


def _overlays(found: Sequence[Sequence[Box]]) -> list[list[Box]]:
    """Boxes of each frame that most frames have at the same place."""
    return [
        [box for box in boxes if 2 * sum(_has(each, box) for each in found) > len(found)]
        for boxes in found
    ]


def _has(boxes: Sequence[Box], box: Box) -> bool:
    """Whether one of `boxes` stands where `box` does."""
    return any(_overlap(each, box) >= OVERLAP for each in boxes)


def _overlap(a: Box, b: Box) -> float:
    """Intersection over union of the upright rectangles around two boxes."""
    sides = np.minimum(a.max(0), b.max(0)) - np.maximum(a.min(0), b.min(0))
    both = float(np.prod(np.maximum(sides, 0)))
    return both / (float(np.prod(np.ptp(a, axis=0)) + np.prod(np.ptp(b, axis=0))) - both)


def _subtitle_top(found: Sequence[Sequence[Box]], height: int) -> float | None:
    """Top of the highest line in the lower part of frames that end on one baseline; None without.

    Most frames must have lines there. Their number may differ, so their lowest ends are compared.
    """
    lower = [[box for box in boxes if box[:, 1].min() >= LOWER * height] for boxes in found]
    there = [np.concatenate(boxes)[:, 1] for boxes in lower if boxes]
    if 2 * len(there) <= len(found):
        return None
    ends = [y.max() for y in there]
    if max(ends) - min(ends) > SAME * height:
        return None
    return float(min(y.min() for y in there))
