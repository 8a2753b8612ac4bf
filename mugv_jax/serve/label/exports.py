# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Files of results: raw labels, consensus, and lists that other commands read.

labels.csv        every answer, also about golden items and those that were taken back
consensus.csv     what the annotators of each item agreed on
results.md        the report          results.png   bars of its shares
comparisons.csv   pairs with a consensus, for `post pairs --labels`
scores.csv        videos with their share of passed questions, for `post pairs --labels`;
                  with several models, scores-1.csv and so on, in their order
review.csv        grades of each annotator, for `data curate --labels`
"""

import collections
import datetime
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from mugv_jax.curate.review import LABELS as REVIEWED
from mugv_jax.curate.review import TOLD
from mugv_jax.data.whole_files import csv_bytes, write_whole
from mugv_jax.eval.human.consensus import AGREED
from mugv_jax.eval.human.preferences import FIRST, SAME
from mugv_jax.post.labels import Comparison, Label, labels_bytes
from mugv_jax.serve.label.labelset import Item, LabelSet
from mugv_jax.serve.label.plan import side_of
from mugv_jax.serve.label.plot import rows_of, write_bars
from mugv_jax.serve.label.questions import PAIRS, PASS, REVIEW, SINGLE
from mugv_jax.serve.label.report import report_text
from mugv_jax.serve.label.results import Results
from mugv_jax.serve.label.store import Answer

RAW, CONSENSUS, REPORT, BARS = "labels.csv", "consensus.csv", "results.md", "results.png"
COMPARISONS, SCORES, REVIEWS = "comparisons.csv", "scores.csv", "review.csv"
OVERALL = "overall"  # question whose consensus is a pair's preference; else the last question
RATER = "consensus"


def write_results(folder: Path, results: Results, answers: Sequence[Answer]) -> list[str]:
    """Writes the files; returns their names.

    answers: all answers of the set.

    Raises:
        OSError: a file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    labelset, files = results.labelset, {RAW: _raw(results.labelset, answers)}
    files[CONSENSUS] = _consensus(results)
    files[REPORT] = report_text(results).encode(errors="replace")
    if labelset.kind == PAIRS:
        files |= _comparisons(results)
    elif labelset.kind == SINGLE:
        files |= _scores(results)
    elif labelset.kind == REVIEW:
        files[REVIEWS] = _reviews(results)
    for name, content in files.items():
        write_whole(folder / name, content)
    rows = rows_of(results)
    if rows:
        write_bars(folder / BARS, _title(labelset), rows)
    return [*files, *[BARS] * bool(rows)]


def _title(labelset: LabelSet) -> str:
    if labelset.kind != PAIRS:
        return "Share of clips that passed, with 95% intervals"
    first, second = labelset.models
    return f"{first} better (blue), equal (grey), {second} better (orange)"


def _raw(labelset: LabelSet, answers: Sequence[Answer]) -> bytes:
    items = {item.id: item for item in labelset.items}
    rows = []
    for each in answers:
        item = items[each.item]
        pair = len(item.clips) == 2
        clips = [f"{clip.model}/{clip.id}" for clip in item.clips]
        rows.append(
            {
                "item": item.name,
                "first": clips[0],
                **({"second": clips[1]} if pair else {}),
                "question": each.question,
                "annotator": each.annotator,
                "answer": each.answer,
                **({"left": clips[each.left_clip or 0]} if pair else {}),
                **({"side": side_of(each.answer, each.left_clip)} if pair else {}),
                "seconds": "" if each.seconds is None else f"{each.seconds:.3f}",
                "made": _time(each.made),
                "undone": "" if each.undone is None else _time(each.undone),
                "known": item.known.get(each.question, ""),
                "id": each.id,
            }
        )
    return csv_bytes(rows, list(rows[0]))


def _time(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat(timespec="milliseconds")


def _consensus(results: Results) -> bytes:
    items = {item.id: item for item in results.labelset.items}
    rows = [
        {
            "item": items[item_id].name,
            "model": "" if len(items[item_id].clips) == 2 else items[item_id].clips[0].model,
            "question": question,
            "state": found.state,
            "answer": found.answer or "",
            "votes": str(found.votes),
            "of": str(found.of),
        }
        for (item_id, question), found in sorted(
            results.decisions.items(), key=lambda each: (items[each[0][0]].name, each[0][1])
        )
    ]
    return csv_bytes(rows, ("item", "model", "question", "state", "answer", "votes", "of"))


def _comparisons(results: Results) -> dict[str, bytes]:
    """The consensus of each pair about OVERALL; pairs without one have no preference."""
    labelset = results.labelset
    ids = [question.id for question in labelset.questions]
    question = OVERALL if OVERALL in ids else ids[-1]
    made = []
    for item in labelset.items:
        found = results.decisions.get((item.id, question))
        if found is None or found.state != AGREED:
            continue
        first, second = (_name(labelset, item, place) for place in range(2))
        win, lose = (first, second) if found.answer in (FIRST, SAME) else (second, first)
        made.append(Comparison(win=win, lose=lose, rater=RATER, tie=found.answer == SAME))
    return {COMPARISONS: labels_bytes(made)} if made else {}


def _name(labelset: LabelSet, item: Item, place: int) -> str:
    """Id of a video; with several models, those of different ones may be equal."""
    clip = item.clips[place]
    return f"{clip.model}/{clip.id}" if len(labelset.models) > 1 else clip.id


def _scores(results: Results) -> dict[str, bytes]:
    """Share of the questions that each video has passed by consensus, if all are decided."""
    labelset = results.labelset
    made: dict[str, list[Label]] = collections.defaultdict(list)
    for item in labelset.items:
        parts = {}
        for question in labelset.questions:
            found = results.decisions.get((item.id, question.id))
            if found is not None and found.state == AGREED:
                parts[question.id] = float(found.answer == PASS)
        if len(parts) == len(labelset.questions):
            score = sum(parts.values()) / len(parts)
            clip = item.clips[0]
            made[clip.model].append(Label(id=clip.id, rater=RATER, score=score, parts=parts))
    several, stem = len(labelset.models) > 1, Path(SCORES).stem
    return {
        f"{stem}-{number}.csv" if several else SCORES: labels_bytes(made[model])
        for number, model in enumerate(labelset.models, 1)
        if model in made
    }


def _reviews(results: Results) -> bytes:
    grades: dict[tuple[str, str], dict[str, str]] = collections.defaultdict(dict)
    for each in results.answers:
        grades[each.item, each.annotator][each.question] = each.answer
    return csv_bytes(_review_rows(results.labelset, grades), (*TOLD, "rater", *REVIEWED))


def _review_rows(
    labelset: LabelSet, grades: Mapping[tuple[str, str], Mapping[str, str]]
) -> Iterator[dict[str, str]]:
    items = {item.id: item for item in labelset.items}
    for (item_id, annotator), own in grades.items():
        about = {column: str(items[item_id].about.get(column, "")) for column in TOLD}
        labels = {name: own.get(name, "") for name in REVIEWED}
        yield {**about, "rater": annotator, **labels}
