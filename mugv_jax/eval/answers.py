# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Answers, one a line, in a file from which an interrupted measurement resumes.

The first line describes the measurement. A line is on disk when `add` returns; a last line that a
killed process left unfinished is dropped when the file is opened again.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mugv_jax.data.whole_files import write_whole
from mugv_jax.files import parse_json

Answer = Mapping[str, Any]


class Answers:
    """Answers of one measurement so far, in order; `path` appears with the first one.

    about: everything that the answers depend on, which an existing file must agree with.

    Raises:
        ValueError: the file is damaged or belongs to another measurement.
    """

    def __init__(self, path: Path, about: Mapping[str, Any]):
        self._path = path
        self._about = json.loads(json.dumps(about))  # lists for tuples, as when it is read back
        self._begun = path.exists()
        self.lines = read_answers(path, self._about) if self._begun else []
        self._whole = False  # whether the file ends with the end of a line

    def add(self, answer: Answer) -> None:
        """Adds an answer."""
        if not self._begun:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self._path, _line(self._about))
            self._begun = True
        if not self._whole:
            _drop_unfinished(self._path)
            self._whole = True
        with open(self._path, "ab") as file:
            file.write(_line(answer))
            file.flush()
            os.fsync(file.fileno())
        self.lines.append(dict(answer))


def read_answers(path: Path, about: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The answers in a file; what follows the last end of a line is left out.

    Raises:
        ValueError: the file is damaged or belongs to another measurement than `about`.
    """
    whole, _, _ = path.read_bytes().rpartition(b"\n")
    try:
        first, *lines = (parse_json(line, str(path)) for line in whole.split(b"\n"))
        if not all(isinstance(line, dict) for line in (first, *lines)):
            raise ValueError("a line is no object")
    except ValueError as error:
        raise ValueError(
            f"{path} is damaged ({error}): delete it, or give another folder."
        ) from error
    changed = changes(first, json.loads(json.dumps(about)))
    if changed:
        raise ValueError(
            f"{path} has answers of another measurement ({'; '.join(changed)}): give another "
            "folder, or --overwrite."
        )
    return lines


def changes(before: Any, now: Any, name: str = "") -> list[str]:
    """Differences between two JSON values, such as "settings.steps=25, now 4"."""
    if isinstance(before, dict) and isinstance(now, dict):
        names = sorted(before.keys() | now.keys())
        inner = (
            changes(before.get(each), now.get(each), f"{name}.{each}".lstrip(".")) for each in names
        )
        return [change for changed in inner for change in changed]
    return [] if before == now else [f"{name}={before}, now {now}"]


def _line(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode() + b"\n"


def _drop_unfinished(path: Path) -> None:
    """Cuts off what follows the last end of a line."""
    content = path.read_bytes()
    end = content.rfind(b"\n") + 1
    if end < len(content):
        os.truncate(path, end)
