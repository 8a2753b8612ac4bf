# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Scores of the videos of a folder by a program: a checker, or a reward model."""

import math
from collections.abc import Sequence
from pathlib import Path

from mugv_jax import video
from mugv_jax.data.published import ID
from mugv_jax.post.folder import Row
from mugv_jax.post.labels import Label
from mugv_jax.progress import over
from mugv_jax.train.scoring import Scorer, Weighting


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
