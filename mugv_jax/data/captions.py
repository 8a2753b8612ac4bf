# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""A list of videos and pictures with their captions, in a csv or jsonl file.

    path,caption[,id][,fps]          other columns are ignored
    {"path": "boat.mp4", "caption": "a red paper boat"}

Paths are relative to the list.
"""

import csv
import dataclasses
import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

SUFFIXES = (".csv", ".jsonl")
SHOWN = 5  # mistakes that one message lists
ID = re.compile(r"\w[\w.-]*")  # ids become parts of file names


@dataclasses.dataclass(frozen=True, kw_only=True)
class Captioned:
    """One entry of the list.

    id: unique in the list; by default derived from the path.
    fps: frame rate to read this video at; None uses the rate of all videos.
    """

    id: str
    path: Path
    caption: str
    fps: float | None


def read_captions(path: Path) -> list[Captioned]:
    """The entries of a list, in order.

    Raises:
        ValueError: there is no such list, or entries cannot be used; the first few are named.
    """
    if path.suffix.lower() not in SUFFIXES or not path.is_file():
        reason = "does not exist" if not path.exists() else "is not a list"
        raise ValueError(f"captions {str(path)!r}: {reason}; give a {' or '.join(SUFFIXES)} file.")
    entries: dict[str, Captioned] = {}
    lines: dict[str, str] = {}
    mistakes = []
    for where, values in _records(path):
        try:
            entry = _entry(path.parent, values)
            if entry.id in entries:
                raise ValueError(
                    f"id {entry.id!r} is that of {lines[entry.id]} too: give each its own id."
                )
            entries[entry.id], lines[entry.id] = entry, where
        except ValueError as error:
            mistakes.append(f"{where}: {error}")
    if mistakes:
        shown = mistakes[:SHOWN]
        if len(mistakes) > SHOWN:
            shown.append(f"and {len(mistakes) - SHOWN} more")
        raise ValueError("\n  ".join([f"captions {path}: {len(mistakes)} mistaken:", *shown]))
    if not entries:
        raise ValueError(f"captions {str(path)!r} is empty.")
    return list(entries.values())


def _records(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The line and the values of each record."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            if path.suffix.lower() == ".csv":
                reader = csv.DictReader(file)
                for record in reader:
                    yield f"line {reader.line_num}", record
                return
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield f"line {number}", _json(line)
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"captions {path}: cannot be read as UTF-8 text ({error}).") from error


def _json(line: str) -> Mapping[str, Any]:
    """The object in a line, or {"mistake": reason} if the line holds none."""
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        record = f"not JSON ({error})"
    return record if isinstance(record, dict) else {"mistake": record}


def _entry(folder: Path, values: Mapping[str, Any]) -> Captioned:
    """The entry of a record in a list in `folder`.

    Raises:
        ValueError: values that make no entry.
    """
    if "mistake" in values and "path" not in values:
        raise ValueError(f'is {str(values["mistake"])[:80]}; it must be {{"path": ..., ...}}.')
    texts = {}
    for name in ("path", "caption"):
        value = values.get(name)
        if not isinstance(value, str) or not value.strip():
            raise ValueError(f"{name} is {'missing' if value is None else 'empty'}.")
        texts[name] = value.strip()
    given = values.get("id")
    if given in (None, ""):
        name = re.sub(r"[^\w.-]+", "_", str(Path(texts["path"]).with_suffix("")).lstrip("./"))
    else:
        name = str(given)
    if not ID.fullmatch(name):
        raise ValueError(f"id {name!r} must be letters, digits, '.', '-' and '_' only.")
    return Captioned(
        id=name, path=folder / texts["path"], caption=texts["caption"], fps=_fps(values.get("fps"))
    )


def _fps(value: Any) -> float | None:
    """The frame rate of an entry; None if it states none.

    Raises:
        ValueError: not a positive number.
    """
    if value is None or value == "":
        return None
    try:
        fps = float(value)
    except (TypeError, ValueError):
        fps = math.nan
    if not 0 < fps < math.inf:
        raise ValueError(f"fps={value!r} must be a positive number, or left out.")
    return fps
