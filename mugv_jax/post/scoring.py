# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Scores of videos by a program: a checker, or a reward model.

parts of a clip, more is better -> score = sum of weight * part / sum of weights
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from mugv_jax import video
from mugv_jax.axes import Frames
from mugv_jax.data.published import ID
from mugv_jax.post.folder import Row
from mugv_jax.post.labels import Label
from mugv_jax.progress import over


@runtime_checkable
class Scorer(Protocol):
    """Judges clips; a reward model becomes one in a few lines.

    name: the rater in `labels.csv`.
    parts: names of what is judged, in the order of a judgement; a reward model has one.
    """

    @property
    def name(self) -> str: ...

    @property
    def parts(self) -> tuple[str, ...]: ...

    def judge(
        self, videos: Sequence[Frames], about: Sequence[Mapping[str, str]]
    ) -> Sequence[Sequence[float]]:
        """Values of all parts for each clip; more is better.

        about: row of each clip, with its caption and all other columns.

        Raises:
            ValueError: rows that lack what the scorer needs.
        """
        ...


@dataclasses.dataclass(frozen=True)
class Weighting:
    """Weights of the parts of a score; parts without one do not count.

    Raises:
        ValueError: no parts, or a weight that is not positive.
    """

    weights: Mapping[str, float]

    def __post_init__(self):
        if not self.weights or not all(0 < w < math.inf for w in self.weights.values()):
            raise ValueError(f"weights={dict(self.weights)} must be some numbers above 0.")

    @classmethod
    def of(cls, scorer: Scorer, chosen: Mapping[str, float] | None = None) -> "Weighting":
        """The chosen weights, or 1 for every part of the scorer.

        Raises:
            ValueError: a part that the scorer does not have.
        """
        unknown = sorted({*(chosen or ())} - {*scorer.parts})
        if unknown:
            raise ValueError(
                f"part {unknown[0]!r} is not judged by {scorer.name}: it has "
                f"{', '.join(scorer.parts)}."
            )
        return cls(chosen or dict.fromkeys(scorer.parts, 1.0))

    def score(self, values: Mapping[str, float]) -> float:
        """Weighted mean of the parts."""
        total = sum(weight * values[name] for name, weight in self.weights.items())
        return total / sum(self.weights.values())


def score_samples(
    folder: Path, rows: Sequence[Row], scorer: Scorer, weighting: Weighting, *, batch: int = 32
) -> list[Label]:
    """A label for every sample, from its video file.

    Raises:
        ValueError: a sample without a video, or what the scorer refuses.
    """
    without = [row[ID] for row in rows if not row.get("video_path")]
    if without:
        raise ValueError(
            f"{len(without)} samples have no video, such as {without[0]}: {scorer.name} judges "
            "frames; sample with --videos lossless."
        )
    labels = []
    for first in over(range(0, len(rows), batch), "scoring", unit="batch"):
        part = rows[first : first + batch]
        videos = [video.read_video(folder / row["video_path"]).frames for row in part]
        for row, values in zip(part, scorer.judge(videos, part), strict=True):
            parts = dict(zip(scorer.parts, map(float, values), strict=True))
            score = weighting.score(parts)
            if not math.isfinite(score):
                raise ValueError(f"{scorer.name} gives {row[ID]} the score {score}: not finite.")
            labels.append(Label(id=row[ID], rater=scorer.name, score=score, parts=parts))
    return labels
