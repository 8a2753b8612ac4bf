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
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mugv_jax.data.bad_sample import listed

SUFFIXES = (".csv", ".jsonl")
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
        raise ValueError(f"captions {path}: {listed(mistakes, 'mistaken', 'mistaken')}")
    if not entries:
        raise ValueError(f"captions {str(path)!r} is empty.")
    return list(entries.values())


def _records(path: Path) -> Iterator[tuple[str, Any]]:
    """The line and the content of each record."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            if path.suffix.lower() == ".csv":
                reader = csv.DictReader(file)
                yield from ((f"line {reader.line_num}", record) for record in reader)
                return
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield f"line {number}", _json(line)
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"captions {path}: cannot be read as UTF-8 text ({error}).") from error


def _json(line: str) -> Any:
    """The value in a line, or why it holds none."""
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        return f"not JSON ({error})"


def _entry(folder: Path, values: Any) -> Captioned:
    """The entry of a record in a list in `folder`."""
    if not isinstance(values, dict):
        raise ValueError(f'is {str(values)[:80]}; it must be {{"path": ..., ...}}.')
    texts = {}
    for name in ("path", "caption"):
        value = values.get(name)
        if not isinstance(value, str) or not value.strip():
            raise ValueError(f"{name} is {'missing' if value is None else 'empty'}.")
        texts[name] = value.strip()
    name = values.get("id")
    if name in (None, ""):
        name = re.sub(r"[^\w.-]+", "_", str(Path(texts["path"]).with_suffix("")).lstrip("./"))
    name = str(name)
    if not ID.fullmatch(name):
        raise ValueError(f"id {name!r} must be letters, digits, '.', '-' and '_' only.")
    return Captioned(
        id=name, path=folder / texts["path"], caption=texts["caption"], fps=_fps(values.get("fps"))
    )


def _fps(value: Any) -> float | None:
    """The frame rate of an entry; None if it states none."""
    if value is None or value == "":
        return None
    try:
        fps = float(value)
    except (TypeError, ValueError):
        fps = math.nan
    if not 0 < fps < math.inf:
        raise ValueError(f"fps={value!r} must be a positive number, or left out.")
    return fps
