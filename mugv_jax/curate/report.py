# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Report of a curation: one HTML page with its scores inside, on which thresholds can be tried.

    report.html               counts, histograms, clips next to thresholds, duplicates, captions
    thumbnails/CLIP.webp      clips of the page that play

The page needs no server and no network. Scores are packed as float32 columns, so that the page
decides about all clips again when a threshold moves; thumbnails, captions and paths are those of a
sample (`shown`). The link `report.html#sharpness.low=300` opens it with a changed threshold.
"""

import base64
import collections
import hashlib
import html
import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mugv_jax.curate.stage import Row
from mugv_jax.curate.thresholds import BALANCE, DROPPED_BY, PROBLEM, Threshold, number
from mugv_jax.data.whole_files import write_whole
from mugv_jax.files import shortened

PAGE = Path(__file__).with_name("page")
STYLE, SCRIPTS = "style.css", ("decide.js", "charts.js", "clips.js", "main.js")
THUMBNAILS = "thumbnails"
TAGS, STRATUM = ("subjects", "actions", "scenes"), "stratum"
BROKEN, UNDRAWN, BEST = 1, 2, 4  # bits of a clip, as decide.js reads them
MOST_SHOWN = 2000  # clips with thumbnails, about 10 kB each
EDGE = 40  # of them on either side of every threshold
GROUPS, MEMBERS, CAPTIONS, TOP = 100, 8, 30, 25
LONGEST = 1500  # characters of a caption or reason


def write_report(
    path: Path,
    videos: Sequence[Row],
    clips: Sequence[Row],
    thresholds: Mapping[str, Threshold],
    *,
    scores: Collection[str] = (),
    asked: Collection[str] = (),
    thumbnails: Iterable[Row] = (),
    options: Sequence[str] = (),
) -> None:
    """Writes the page to `path`, and thumbnails beside it.

    videos, clips: rows after all decisions; every clip has `dropped_by`.
    thresholds: in the order in which they were applied.
    scores: columns to show beside those of thresholds.
    asked: columns that are known only after duplicates were dropped, such as `filter_flags`.
    thumbnails: rows with `clip` and `thumbnail`; those of the page's sample are written.
    options: those of the run's command line, as a shell reads them; the page adds changed limits.

    Raises:
        OSError: a file cannot be written.
    """
    sample = shown(clips, thresholds)
    wanted = {clips[place]["clip"] for place in sample}
    folder = path.parent / THUMBNAILS
    folder.mkdir(parents=True, exist_ok=True)
    pictured = set()
    for row in thumbnails:
        if row.get("clip") in wanted and row.get("thumbnail"):
            write_whole(folder / f"{row['clip']}.webp", row["thumbnail"])
            pictured.add(row["clip"])
    told = _told(videos, clips, thresholds, scores, asked)
    told |= {"folder": str(path.parent.resolve()), "options": list(options)}
    told["shown"] = [_detail(clips[place], place, pictured) for place in sample]
    write_whole(path, page(told).encode(errors="replace"))


def page(told: Mapping[str, Any]) -> str:
    """The page with its data, which cannot end the element that holds them."""
    data = json.dumps(told, allow_nan=False, separators=(",", ":"))
    for sign in "<>&":
        data = data.replace(sign, f"\\u{ord(sign):04x}")
    parts = {
        "TITLE": html.escape(Path(told["folder"]).name),
        "STYLE": _part(STYLE),
        "SCRIPT": "\n".join(map(_part, SCRIPTS)),
        "DATA": data,
    }
    return re.sub("@([A-Z]+)@", lambda found: parts[found[1]], _part("page.html"))


def _part(name: str) -> str:
    return (PAGE / name).read_text(encoding="utf-8")


def shown(
    clips: Sequence[Row], thresholds: Mapping[str, Threshold], most: int = MOST_SHOWN
) -> list[int]:
    """Places of the clips that the page shows: all, or a sample of about `most`.

    The sample has the clips next to every threshold, duplicates, and others by a hash of their ids.
    """
    if len(clips) <= most:
        return list(range(len(clips)))
    drawn = _drawn(clips, range(len(clips)))
    turn = np.empty(len(clips), np.int64)  # of equal values, too, the sample is one of ids
    turn[drawn] = np.arange(len(clips))
    chosen: set[int] = set()
    for each in thresholds.values():
        values = _column(clips, each.column)
        order = np.lexsort((turn, values))[: int((~np.isnan(values)).sum())]
        for bound in (each.low, each.high):
            if bound is not None:
                # Between the clips below and above a bound, of which equal ones are kept.
                side = "left" if bound == each.low else "right"
                middle = int(np.searchsorted(values[order], bound, side=side))
                chosen.update(order[max(middle - EDGE, 0) : middle + EDGE].tolist())
    for members in _groups(clips)[:GROUPS]:
        chosen.update(members[:MEMBERS])
    captioned = [p for p in drawn if clips[p].get(DROPPED_BY) is None and clips[p].get("caption")]
    chosen.update(captioned[:CAPTIONS])
    others = [place for place in drawn if place not in chosen]
    return sorted(chosen.union(others[: max(most - len(chosen), 0)]))


def _told(
    videos: Sequence[Row],
    clips: Sequence[Row],
    thresholds: Mapping[str, Threshold],
    scores: Collection[str],
    asked: Collection[str],
) -> dict[str, Any]:
    """Data of the page, without the shown clips."""
    names = dict.fromkeys((*(each.column for each in thresholds.values()), *scores, "composite"))
    columns = {name: _column(clips, name) for name in names}
    groups = _groups(clips)
    group, place_in_group = (np.full(len(clips), -1, np.int32) for _ in range(2))
    for one, members in enumerate(groups):
        group[members] = one
        place_in_group[members] = range(len(members))
    kept = [place for place, row in enumerate(clips) if row.get(DROPPED_BY) is None]
    return {
        "ids": [row["clip"] for row in clips],
        "columns": {
            name: _packed(values) for name, values in columns.items() if not np.isnan(values).all()
        },
        "seconds": _packed(_column(clips, "seconds")),
        "bits": base64.b64encode(bytes(map(_bits, clips))).decode(),
        "group": base64.b64encode(group.tobytes()).decode(),
        "place": base64.b64encode(place_in_group.tobytes()).decode(),
        "thresholds": [
            {
                "name": name, "column": each.column, "low": each.low, "high": each.high,
                "unit": each.unit, "source": each.source, "asked": each.column in asked,
            }
            for name, each in thresholds.items()
        ],
        "groups": [members[:MEMBERS] for members in groups[:GROUPS]],
        "groupCount": len(groups),
        "captions": _drawn(clips, [p for p in kept if clips[p].get("caption")])[:CAPTIONS],
        "videos": len(videos),
        "videoSeconds": sum(row.get("duration_s") or 0.0 for row in videos),
        "bad": [
            [_name(row), shortened(str(row[PROBLEM]), LONGEST)]
            for row in videos
            if row.get(PROBLEM) is not None
        ],
        "cutOff": [
            [_name(row), row["duration_s"], row["stated_s"]]
            for row in videos
            if row.get(PROBLEM) is None and row.get("stated_s") is not None
        ],
        "tags": {name: _shares(clips, name) for name in (*TAGS, STRATUM)},
    }  # fmt: skip


def _name(video: Row) -> str:
    return str(video.get("name") or video.get("video"))


def _column(clips: Sequence[Row], name: str) -> np.ndarray:
    """A column as float64; NaN where it is missing or no number."""
    values = [row.get(name) for row in clips]
    found = [None if isinstance(each, str | bytes) else number(each) for each in values]
    return np.array([np.nan if each is None else each for each in found], np.float64)


def _packed(values: np.ndarray) -> str:
    return base64.b64encode(values.astype("<f4").tobytes()).decode()


def _bits(row: Row) -> int:
    broken = BROKEN if row.get(PROBLEM) is not None else 0
    undrawn = UNDRAWN if row.get(DROPPED_BY) == BALANCE else 0
    return broken | undrawn | (BEST if row.get("best") else 0)


def _groups(clips: Sequence[Row]) -> list[list[int]]:
    """Places of duplicates, largest group first, and in each the one first that was kept."""
    found: dict[str, list[int]] = collections.defaultdict(list)
    for place, row in enumerate(clips):
        if row.get("group") is not None:
            found[row["group"]].append(place)

    def preference(place: int) -> tuple:
        row = clips[place]
        pixels = (row.get("width_px") or 0) * (row.get("height_px") or 0)
        copy = row.get("duplicate_of") is not None
        return copy, -pixels, -(row.get("sharpness") or 0.0), row["clip"]

    made = [sorted(members, key=preference) for members in found.values() if len(members) > 1]
    return sorted(made, key=lambda members: (-len(members), clips[members[0]]["clip"]))


def _drawn(clips: Sequence[Row], places: Iterable[int]) -> list[int]:
    """Places in an order that depends on the clips' ids only."""
    return sorted(places, key=lambda place: hashlib.sha256(clips[place]["clip"].encode()).digest())


def _detail(row: Row, place: int, pictured: Collection[str]) -> dict[str, Any]:
    """What the page tells of a shown clip; empty values are left out."""
    found = {
        "path": row.get("path"), "start": row.get("start_s"), "end": row.get("end_s"),
        "caption": shortened(row.get("caption") or row.get("video_caption") or "", LONGEST),
        "tags": [tag for name in TAGS for tag in row.get(name) or ()],
        "flags": list(row.get("filter_flags") or ()), "kind": row.get("duplicate_kind"),
        "of": row.get("duplicate_of"), "similarity": row.get("similarity"),
        "problem": row.get(PROBLEM), "picture": row["clip"] in pictured or None,
    }  # fmt: skip
    return {"clip": place} | {name: value for name, value in found.items() if value}


def _shares(clips: Sequence[Row], name: str) -> dict[str, Any]:
    """The most frequent values of a column (value, clips before balancing, and after) of how many.

    All strata are listed, as their shares are what balance decides about.
    """
    before, after = collections.Counter[str](), collections.Counter[str]()
    for row in clips:
        if row.get(DROPPED_BY) in (None, BALANCE):
            value = row.get(name)
            values = [value] if isinstance(value, str) else value or ()
            before.update(values)
            after.update(values if row.get(DROPPED_BY) is None else ())
    listed = before.most_common(None if name == STRATUM else TOP)
    return {"count": len(before), "rows": [[value, n, after[value]] for value, n in listed]}
