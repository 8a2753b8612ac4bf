# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Scores of answers: shares that are right, with intervals, and confusions."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from mugv_jax.demo.eval.answers import FIELDS, Answer
from mugv_jax.demo.eval.intervals import difference, mean, share

SEEN, UNSEEN = SPLITS = ("validation", "unseen")
# Measure -> the fields that must all be right. Image to video must keep the picture's `object`.
# Where a clip has no physical error, its PHYSICS is right, whatever it shows.
PHYSICS = "physics"
MEASURES = {
    "colour": ("colour",),
    "shape": ("shape",),
    "object": ("shape", "colour"),
    "motion": ("motion",),
    "all": FIELDS,
    PHYSICS: (),
}
QUALITIES = ("psnr", "ssim")
DISTANCE = "distance"
NOTHING = "nothing"  # stands for a clip of which fewer than half of the frames show an object


def is_right(answer: Answer, measure: str) -> bool:
    """Whether the words read are the words asked for, in the fields of `measure`.

    Of PHYSICS: whether the clip has no physical error.
    """
    if measure == PHYSICS:
        return not answer.fault
    if answer.read is None:
        return False
    right = {field: a == r for field, a, r in zip(FIELDS, answer.asked, answer.read, strict=True)}
    return all(right[field] for field in MEASURES[measure])


def score(answers: Iterable[Answer]) -> dict[str, dict[str, Any]]:
    """Estimates, counts and confusions by task and split; `difference` is seen minus unseen.

    Every estimate is {"value", "low", "high"}: a share in [0, 1], SSIM, PSNR in dB, or a distance.
    """
    parts: dict[str, dict[str, list[Answer]]] = {}
    for answer in answers:
        parts.setdefault(answer.task, {}).setdefault(answer.split, []).append(answer)
    scores = {}
    for task, splits in parts.items():
        scores[task] = {split: _split_scores(part) for split, part in splits.items()}
        if set(SPLITS) <= splits.keys():
            scores[task]["difference"] = {
                m: difference(*(share(*_count(splits[s], m)) for s in SPLITS))._asdict()
                for m in MEASURES
            }
    return scores


def _split_scores(answers: Sequence[Answer]) -> dict[str, Any]:
    scores: dict[str, Any] = {"clips": len(answers)}
    for measure in MEASURES:
        right, count = _count(answers, measure)
        scores[measure] = {"right": right, **share(right, count)._asdict()}
    for quality in (*QUALITIES, DISTANCE):
        values = [getattr(answer, quality) for answer in answers]
        if None not in values:
            scores[quality] = mean(values)._asdict()
    faults = Counter(answer.fault for answer in answers if answer.fault)
    confusion = {field: _confusion(answers, field) for field in FIELDS}
    return scores | {"confusion": confusion, "faults": dict(faults.most_common())}


def _count(answers: Sequence[Answer], measure: str) -> tuple[int, int]:
    """How many answers are right, and how many there are."""
    return sum(is_right(answer, measure) for answer in answers), len(answers)


def _confusion(answers: Sequence[Answer], field: str) -> dict[str, dict[str, int]]:
    """Number of clips by word asked for and word read, the most frequent reading first."""
    place = FIELDS.index(field)
    counts: dict[str, Counter[str]] = {}
    for answer in answers:
        read = NOTHING if answer.read is None else answer.read[place]
        counts.setdefault(answer.asked[place], Counter())[read] += 1
    return {asked: dict(counts[asked].most_common()) for asked in sorted(counts)}
