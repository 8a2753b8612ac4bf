# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Labels of samples: scores of single clips, or comparisons of two.

    id,rater,score[,parts]     one line for each clip and rater
    win,lose,rater[,tie]       ids; tie=1 says that neither is better

Several raters of one clip, or of one pair, are combined, and their agreement is reported.
"""

import collections
import dataclasses
import itertools
import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np

from mugv_jax.data.bad_sample import listed
from mugv_jax.data.whole_files import csv_bytes
from mugv_jax.files import existing_file
from mugv_jax.tables import MISTAKE, read_csv

SCORED, COMPARED = ("id", "rater", "score"), ("win", "lose", "rater")
TIE = "tie"
COMBINED = ("mean", "majority")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Label:
    """Score of one clip; more is better.

    parts: what the score was made of, if it had parts.
    """

    id: str
    rater: str
    score: float
    parts: Mapping[str, float] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two clips of which `win` is better, or neither if `tie`."""

    win: str
    lose: str
    rater: str
    tie: bool = False


Labels = list[Label] | list[Comparison]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Agreement:
    """How far raters agree where several have judged the same.

    judged: clips or pairs that more than one rater has judged.
    same: share of pairs of raters that gave the same judgement.
    alpha: Krippendorff's alpha of scores (interval data): 1 is full agreement, 0 that of chance;
        None for comparisons, or if all scores are equal.
    """

    judged: int
    same: float
    alpha: float | None


def read_labels(
    path: Path, known: Collection[str], *, bounds: tuple[float, float] | None = None
) -> Labels:
    """Labels of a csv file, each line as it stands.

    known: ids of the samples.  bounds: smallest and largest score that is allowed.

    Raises:
        ValueError: columns of neither kind, unknown ids, scores that are no numbers or out of
            range, or one judgement twice; the first few lines are named.
    """
    path = existing_file(path, "labels")
    found, records = read_csv(path, (*SCORED, *COMPARED, TIE))
    if {*SCORED[:1], SCORED[2]} <= {*found}:
        parse = _label
    elif {*COMPARED[:2]} <= {*found}:
        parse = _comparison
    else:
        raise ValueError(
            f"labels {path}: the columns must be {', '.join(SCORED)} (scores) or "
            f"{', '.join(COMPARED)} (comparisons); there are {', '.join(found) or 'none'}."
        )
    labels, mistakes, seen = [], [], set()
    for where, values in records:
        try:
            if MISTAKE in values:
                raise ValueError(f"{values[MISTAKE]}.")
            label = parse(values, bounds)
            ids = [label.id] if isinstance(label, Label) else sorted((label.win, label.lose))
            _check_ids(ids, known)
            key = (*ids, label.rater)
            if key in seen:
                raise ValueError(f"{', '.join(ids)} is judged by {label.rater!r} twice.")
            seen.add(key)
            labels.append(label)
        except ValueError as error:
            mistakes.append(f"{where}: {error}")
    if mistakes:
        raise ValueError(f"labels {path}: {listed(mistakes, 'mistaken', 'mistaken')}")
    if not labels:
        raise ValueError(f"labels {str(path)!r} is empty: it needs a line for each judgement.")
    return labels


def labels_bytes(labels: Labels) -> bytes:
    """Content of a `labels.csv`."""
    rows, columns = [], dict.fromkeys(SCORED)
    for label in labels:
        if isinstance(label, Comparison):
            row = {"win": label.win, "lose": label.lose, "rater": label.rater}
            rows.append(row | {TIE: str(int(label.tie))})
            columns = dict.fromkeys((*COMPARED, TIE))
        else:
            parts = {name: f"{value:.9g}" for name, value in label.parts.items()}
            rows.append({"id": label.id, "rater": label.rater, "score": f"{label.score:.9g}"})
            rows[-1] |= parts
            columns |= dict.fromkeys(parts)
    return csv_bytes(rows, columns)


def combined(labels: Labels, how: str = "mean") -> tuple[Labels, Agreement]:
    """One label for each clip or pair, and the agreement of its raters.

    how: "mean" of scores, or "majority": the score that most raters gave, the mean of those that
        equally many gave. Comparisons always go by majority; a draw is a tie.

    Raises:
        ValueError: another word.
    """
    if how not in COMBINED:
        raise ValueError(f"combine={how!r} must be one of {', '.join(COMBINED)}.")
    scores = [label for label in labels if isinstance(label, Label)]
    if scores:
        return _combined_scores(scores, how)
    return _combined_comparisons([label for label in labels if isinstance(label, Comparison)])


def _combined_scores(labels: Sequence[Label], how: str) -> tuple[list[Label], Agreement]:
    by_id = collections.defaultdict(list)
    for label in labels:
        by_id[label.id].append(label)
    made = []
    for name, own in by_id.items():
        if len(own) == 1:
            made += own
            continue
        scores = [label.score for label in own]
        parts = [part for part in own[0].parts if all(part in label.parts for label in own)]
        made.append(
            Label(
                id=name,
                rater=f"{how} of {len(own)}",
                score=_centre(scores, how),
                parts={part: _centre([each.parts[part] for each in own], how) for part in parts},
            )
        )
    return made, _agreement([[each.score for each in own] for own in by_id.values()], scored=True)


def _combined_comparisons(
    comparisons: Sequence[Comparison],
) -> tuple[list[Comparison], Agreement]:
    votes = collections.defaultdict(list)  # pair in order of ids -> 1, -1 or 0 of each rater
    raters = collections.defaultdict(list)
    for each in comparisons:
        first, second = sorted((each.win, each.lose))
        votes[first, second].append(0 if each.tie else 1 if each.win == first else -1)
        raters[first, second].append(each.rater)
    made = []
    for (first, second), own in votes.items():
        total = sum(own)
        win, lose = (first, second) if total >= 0 else (second, first)
        names = raters[first, second]
        rater = names[0] if len(names) == 1 else f"majority of {len(names)}"
        made.append(Comparison(win=win, lose=lose, rater=rater, tie=total == 0))
    return made, _agreement(list(votes.values()), scored=False)


def _centre(values: Sequence[float], how: str) -> float:
    if how == "majority":
        counts = collections.Counter(values)
        most = max(counts.values())
        values = [value for value, count in counts.items() if count == most]
    return sum(values) / len(values)


def _agreement(judged: Sequence[Sequence[float]], *, scored: bool) -> Agreement:
    """Agreement of the values that each clip or pair was given."""
    several = [values for values in judged if len(values) > 1]
    pairs = [pair for values in several for pair in itertools.combinations(values, 2)]
    same = sum(a == b for a, b in pairs) / len(pairs) if pairs else 1.0
    return Agreement(
        judged=len(several), same=same, alpha=_alpha(several) if scored and several else None
    )


def _alpha(several: Sequence[Sequence[float]]) -> float | None:
    """Krippendorff's alpha with squared differences: 1 - variance within clips / variance of all.

    Values of a clip weigh 1 / (number of its values - 1), as defined for missing values
    (K. Krippendorff, Content Analysis, chapter on reliability).
    """
    values = np.concatenate([np.asarray(each, float) for each in several])
    count = len(values)
    within = sum(len(each) / (len(each) - 1) * np.var(each) * len(each) for each in several)
    expected = np.var(values) * count**2 / (count - 1)
    return float(1 - within / expected) if expected > 0 else None


def _label(values: Mapping[str, str], bounds: tuple[float, float] | None) -> Label:
    score = _number("score", values.get("score", ""))
    if bounds is not None and not bounds[0] <= score <= bounds[1]:
        raise ValueError(f"score={score:g} must lie in {bounds[0]:g} to {bounds[1]:g}.")
    parts = {}
    for name, text in values.items():
        if name not in SCORED and text:
            try:
                parts[name] = _number(name, text)
            except ValueError:
                continue  # a remark
    return Label(
        id=values.get("id", ""), rater=values.get("rater", "") or "rater", score=score, parts=parts
    )


def _comparison(values: Mapping[str, str], _bounds: tuple[float, float] | None) -> Comparison:
    tie = values.get(TIE, "") or "0"
    if tie not in ("0", "1"):
        raise ValueError(f"tie={tie!r} must be 1, or 0 or empty.")
    win, lose = values.get("win", ""), values.get("lose", "")
    if win == lose:
        raise ValueError(f"win and lose are both {win!r}: compare two clips.")
    rater = values.get("rater", "") or "rater"
    return Comparison(win=win, lose=lose, rater=rater, tie=tie == "1")


def _check_ids(ids: Sequence[str], known: Collection[str]) -> None:
    unknown = [name for name in ids if name not in known]
    if unknown:
        raise ValueError(f"id {unknown[0]!r} is no sample: ids are the column sample_id.")


def _number(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{name}={text!r} must be a finite number.")
    return value
