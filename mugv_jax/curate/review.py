# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Human review of clips: a list to fill in, and its labels as columns of the clips.

    id,path,start_s,end_s,caption,composite,rater,motion_continuity,content_stability,visual_fidelity

Labels are whole numbers from 1 (bad) to 5 (good), one line for each clip and rater; a label that is
left empty is none. MUG-V 2.2 lets people judge motion continuity, content stability and visual
fidelity of the clips for post-training.
"""

import collections
import hashlib
import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mugv_jax.curate.stage import Row
from mugv_jax.curate.thresholds import DROPPED_BY, number
from mugv_jax.data.bad_sample import listed
from mugv_jax.data.whole_files import csv_bytes, write_whole
from mugv_jax.files import existing_file
from mugv_jax.tables import CSV_SUFFIXES, MISTAKE, SUFFIXES, read_records

LABELS = ("motion_continuity", "content_stability", "visual_fidelity")
WORST, GREATEST = 1, 5
TOLD = ("id", "path", "start_s", "end_s", "caption")
WRITES = {**dict.fromkeys(LABELS, "float64"), "raters": "int64", "rater_agreement": "float64"}


def write_review(path: Path, rows: Sequence[Row], score: str = "composite") -> None:
    """Writes a list of clips with empty labels, a .csv, .tsv or .jsonl file.

    score: column that is shown beside each clip.

    Raises:
        ValueError: no clips, or another suffix.
        OSError: the file cannot be written.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"review list {str(path)!r} must be a {', '.join(SUFFIXES)} file.")
    if not rows:
        raise ValueError("there are no clips to review: none is kept.")
    made = [_listed(row, score) for row in rows]
    columns = (*TOLD, score, "rater", *LABELS)
    if path.suffix.lower() in CSV_SUFFIXES:
        texts = [{name: _text(row[name]) for name in columns} for row in made]
        write_whole(path, csv_bytes(texts, columns))
        return
    lines = [json.dumps(row, ensure_ascii=False) for row in made]
    write_whole(path, ("\n".join(lines) + "\n").encode())


def to_review(
    rows: Sequence[Row],
    count: int,
    *,
    best: bool = False,
    score: str = "composite",
    strata: int = 5,
) -> list[Row]:
    """Up to `count` kept clips to be reviewed, the same ones in whatever order the rows are.

    best: the best clips (`best`), highest score first. Otherwise a sample stratified by score, as
        many from each of `strata` parts between quantiles, so that labels show what a score means.

    Raises:
        ValueError: a count or number of strata below 1.
    """
    for name, value in (("count", count), ("strata", strata)):
        if value < 1:
            raise ValueError(f"{name}={value} must be at least 1.")
    kept = [row for row in rows if row.get(DROPPED_BY) is None]
    scored = sorted(kept, key=lambda row: (-(number(row.get(score)) or 0.0), row["clip"]))
    if best:
        return [row for row in scored if row.get("best")][:count]
    parts = [list(part) for part in np.array_split(np.arange(len(scored)), strata)]
    for part in parts:
        part.sort(key=lambda place: hashlib.sha256(scored[place]["clip"].encode()).digest())
    # In turns, so that parts which are too small leave their share to the others.
    turns = max(map(len, parts))
    order = [part[turn] for turn in range(turns) for part in parts if turn < len(part)]
    return [scored[place] for place in sorted(order[:count])]


def merge_review(rows: Sequence[Row], path: Path) -> list[Row]:
    """Rows with the columns of WRITES, from a list that people have filled in.

    Each label is the median over raters. `rater_agreement` is the share of pairs of judgements of
    a clip, over all labels, that differ by at most 1; None with fewer than two raters.

    Raises:
        ValueError: the file is missing or has no labels, or lines of it are mistaken; they are
            named with their numbers.
    """
    judged = _read(path, {row["clip"] for row in rows if row.get("clip")})
    none = dict.fromkeys(WRITES)
    return [{**row, **_merged(judged.get(row.get("clip") or ""), none)} for row in rows]


Judgement = Mapping[str, int]  # label -> value


def _read(path: Path, known: set[str]) -> dict[str, dict[str, Judgement]]:
    """Judgements by clip and rater."""
    path = existing_file(path, "review list")
    found: dict[str, dict[str, Judgement]] = collections.defaultdict(dict)
    mistakes = []
    for where, values in read_records(path, (*TOLD, "rater", *LABELS)):
        try:
            clip, rater, judgement = _judgement(values, known)
            if judgement and rater in found[clip]:
                raise ValueError(f"{clip} is judged by {rater!r} twice.")
            if judgement:
                found[clip][rater] = judgement
        except ValueError as error:
            mistakes.append(f"{where}: {error}")
    if mistakes:
        raise ValueError(f"review list {path}: {listed(mistakes, 'mistaken', 'mistaken')}")
    if not any(found.values()):
        raise ValueError(
            f"review list {path}: no clip has a label; fill in {', '.join(LABELS)} with "
            f"{WORST} to {GREATEST}."
        )
    return found


def _judgement(values: Mapping[str, Any], known: set[str]) -> tuple[str, str, Judgement]:
    """Clip, rater and labels of a record.

    Raises:
        ValueError: it is mistaken.
    """
    if MISTAKE in values:
        raise ValueError(f"{values[MISTAKE]}.")
    clip = str(values.get("id") or "").strip()
    if clip not in known:
        raise ValueError(f"id {clip!r} is no clip of this set.")
    labels = {name: _label(name, values.get(name)) for name in LABELS}
    rater = str(values.get("rater") or "").strip() or "rater"
    return clip, rater, {name: value for name, value in labels.items() if value is not None}


def _label(name: str, value: Any) -> int | None:
    text = "" if value is None else str(value).strip()
    if not text:
        return None
    if text not in map(str, range(WORST, GREATEST + 1)):
        raise ValueError(f"{name}={text[:40]!r} must be {WORST} to {GREATEST}, or empty.")
    return int(text)


def _merged(judged: Mapping[str, Judgement] | None, none: Row) -> Row:
    """Columns of one clip."""
    if not judged:
        return none
    made: Row = dict(none)
    close: list[bool] = []
    for name in LABELS:
        values = [each[name] for each in judged.values() if name in each]
        made[name] = float(statistics.median(values)) if values else None
        close += [abs(a - b) <= 1 for i, a in enumerate(values) for b in values[:i]]
    made["raters"] = len(judged)
    made["rater_agreement"] = sum(close) / len(close) if close else None
    return made


def _listed(row: Row, score: str) -> dict[str, Any]:
    caption = row.get("caption") or row.get("video_caption") or ""
    told = {"id": row["clip"], "path": row.get("path"), "caption": caption}
    told |= {name: row.get(name) for name in ("start_s", "end_s", score)}
    return told | dict.fromkeys(("rater", *LABELS))


def _text(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.9g}" if isinstance(value, float) else str(value)
