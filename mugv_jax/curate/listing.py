# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Raw videos: a folder, or a list with their sources, licences and captions.

    path[,id][,source][,licence][,caption]      .csv, .tsv or .jsonl; other columns are ignored
    boat.mp4 beside boat.txt                    caption of a video for which no list has one

Paths are relative to the list.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mugv_jax import video
from mugv_jax.curate.stage import Row
from mugv_jax.data.bad_sample import listed
from mugv_jax.data.captions import ID, file_ids, sidecar_caption
from mugv_jax.files import check_text
from mugv_jax.tables import MISTAKE, SUFFIXES, read_records

# Room for a clip's number behind the id of its video, and below the longest id of a sample.
LONGEST_ID = 200
COLUMNS = {
    "video": "string",
    "path": "string",
    "name": "string",
    "source": "string",
    "licence": "string",
    "video_caption": "string",
}
READ = ("path", "file_name", "caption", "text", "id", "source", "licence", "license")


def list_videos(raw: Path) -> list[Row]:
    """A row for each video in order of the list, or of a folder sorted by name.

    A list's `source` is a name by which the settings may differ, such as a site; by default it is
    the first folder of the path. `video_caption` is the text of the list, or of a file beside the
    video.

    Raises:
        ValueError: there is no such list or folder, it is empty, or rows of it cannot be used.
    """
    if raw.is_dir():
        records, folder = ((name, {"path": name}) for name in _names(raw)), raw
    elif raw.is_file() and raw.suffix.lower() in SUFFIXES:
        records, folder = read_records(raw, READ), raw.parent
    else:
        reason = "is not a list" if raw.exists() else "does not exist"
        raise ValueError(
            f"{str(raw)!r} {reason}; give a folder of videos, or a {', '.join(SUFFIXES)} file."
        )
    rows, mistakes, places = [], [], []
    for where, values in records:
        try:
            rows.append(_row(folder, values))
            places.append(where)
        except ValueError as error:
            mistakes.append(f"{where}: {error}")
    ids = file_ids(_below_common([row["name"] for row in rows]), LONGEST_ID)
    for row, default in zip(rows, ids, strict=True):
        row["video"] = row["video"] or default
    seen: dict[str, str] = {}
    for row, where in zip(rows, places, strict=True):
        if row["video"] in seen:
            mistakes.append(
                f"{where}: id {row['video']!r} is that of {seen[row['video']]} too: give each its "
                "own id."
            )
        seen.setdefault(row["video"], where)
    if mistakes:
        raise ValueError(f"{raw}: {listed(mistakes, 'mistaken', 'mistaken')}")
    if not rows and raw.is_dir():
        raise ValueError(f"{str(raw)!r} holds no videos ({', '.join(video.VIDEOS)}).")
    if not rows:
        raise ValueError(f"{str(raw)!r} names no videos: write a line with a path for each.")
    return rows


def _names(folder: Path) -> Iterator[str]:
    """Videos of a folder and its subfolders, sorted by name; hidden ones are left out."""
    names = (os.fspath(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    for name in sorted(names, key=lambda name: Path(name).parts):
        hidden = any(part.startswith(".") for part in Path(name).parts)
        if Path(name).suffix.lower() in video.VIDEOS and not hidden:
            yield name


def _below_common(names: list[str]) -> list[str]:
    """Names without the folder that all absolute ones share."""
    absolute = [name for name in names if os.path.isabs(name)]
    if not absolute:
        return names
    common = os.path.commonpath([os.path.dirname(name) for name in absolute])
    return [os.path.relpath(name, common) if os.path.isabs(name) else name for name in names]


def _row(folder: Path, values: Mapping[str, Any]) -> Row:
    """The row of a record.

    Raises:
        ValueError: no path, or an id that names no file.
    """
    if values.keys() == {MISTAKE}:
        raise ValueError(f"{values[MISTAKE]}.")
    name = _first(values, "path", "file_name")
    if name is None:
        raise ValueError("path is missing.")
    check_text("path", name)
    chosen = _first(values, "id")
    if chosen is not None and (not ID.fullmatch(chosen) or len(chosen.encode()) > LONGEST_ID):
        raise ValueError(
            f"id {chosen[:40]!r} must be letters, digits, '.', '-' and '_', up to {LONGEST_ID} "
            "bytes."
        )
    parents = () if os.path.isabs(name) else Path(name).parts[:-1]
    return {
        "video": chosen,
        "path": os.fspath((folder / name).absolute()),
        "name": name,
        "source": _first(values, "source") or (parents[0] if parents else ""),
        "licence": _first(values, "licence", "license"),
        "video_caption": _first(values, "caption", "text") or sidecar_caption(folder / name),
    }


def _first(values: Mapping[str, Any], *names: str) -> str | None:
    """The first cell that is not empty."""
    found = (str(values[name]).strip() for name in names if values.get(name) is not None)
    return next((each for each in found if each), None)


def content_key(row: Row) -> str:
    """Key of a video's parts: its id, and a hash of its size and time of change."""
    try:
        stat = os.stat(row["path"])
        told = f"{row['path']} {stat.st_size} {stat.st_mtime_ns}"
    except OSError:  # the stage `probe` says why
        told = row["path"]
    return f"{row['video']}-{hashlib.sha256(told.encode()).hexdigest()[:10]}"
