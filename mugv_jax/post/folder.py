# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The folder that sampling fills, in the published training format with further columns.

latents/ID.pt                 latent as sampled; ID is PROMPT-NUMBER
text_features/PROMPT_text.pt  text states of the prompt, once for all of its samples
videos/ID.mkv                 decoded frames, if they are wanted
empty_text.pt                 the empty caption
parts/I-of-N.csv              rows finished by process I of N
train.csv                     all rows finished so far, in the order of the prompts
sample.json                   the settings, the same for all samples of a folder
"""

import contextlib
import csv
import fcntl
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mugv_jax.data.encoded import COLUMNS as TRAINED
from mugv_jax.data.encoded import LATENTS, PARTS, TEXTS
from mugv_jax.data.folder_lock import only_process
from mugv_jax.data.published import ID
from mugv_jax.data.samples import CSV, EMPTY_TEXT
from mugv_jax.data.whole_files import csv_bytes, write_whole
from mugv_jax.files import existing_file, read_json
from mugv_jax.tables import MISTAKE, read_csv

SETTINGS, VIDEOS, LABELS = "sample.json", "videos", "labels.csv"
# What is written to the folder; labels are of its videos.
FILES = (CSV, SETTINGS, PARTS, LATENTS, TEXTS, VIDEOS, EMPTY_TEXT, LABELS)
OWN = ("caption", "prompt", "seed", "video_path")  # columns of a sample beside those of training
COLUMNS = (*TRAINED, *OWN)

MOST_SHOWN = 60  # characters of a setting in a message

Row = dict[str, str]


class SampleFolder:
    """One process's view of a folder of samples.

    order: ids of all samples of all processes, in the order of `train.csv`.
    settings: everything besides prompt and seed that changes a sample.
    videos: whether the folder holds videos.

    Raises:
        ValueError: a shard that does not exist, or a folder with samples of other settings.
    """

    def __init__(
        self,
        path: Path,
        order: Sequence[str],
        settings: Mapping[str, Any],
        *,
        shard_index: int = 0,
        shard_count: int = 1,
        videos: bool = True,
    ):
        if not 0 <= shard_index < shard_count:
            raise ValueError(
                f"shard index={shard_index} of shard count={shard_count} must lie in 0 to "
                f"{shard_count - 1}."
            )
        self.path = path
        self._order = {name: number for number, name in enumerate(order)}
        self._part = f"{shard_index:05d}-of-{shard_count:05d}.csv"
        for folder in (LATENTS, TEXTS, PARTS, *[VIDEOS] * videos):
            (path / folder).mkdir(parents=True, exist_ok=True)
        with self._locked():
            self._agree(json.loads(json.dumps(settings)))
            self.known = self._all_rows()
        self._rows: dict[str, Row] = {}

    def only_process(self) -> contextlib.AbstractContextManager[None]:
        """Context in which no other process fills this share; see `folder_lock`."""
        return only_process(self.path / PARTS, f".{self._part}.lock")

    def has(self, relative: str) -> bool:
        """Whether a file exists, and is therefore complete."""
        return (self.path / relative).is_file()

    def write(self, relative: str, content: bytes, *, shared: bool = False) -> None:
        """Writes a file of the folder, whole or not at all; shared: see `write_whole`."""
        write_whole(self.path / relative, content, shared=shared)

    def finish(self, rows: Iterable[Row]) -> None:
        """Records samples whose files are all written; the rows are on disk when this returns."""
        self._rows |= {row[ID]: row for row in rows}
        own = list(self._rows.values())
        self.write(f"{PARTS}/{self._part}", csv_bytes(filled(own), columns_of(own)))

    def merge(self) -> int:
        """Writes the rows of all processes to `train.csv`; returns their number."""
        with self._locked():  # processes that end at the same time must see each other's parts
            merged = self._all_rows() | self._rows
            listed = sorted(
                (row for name, row in merged.items() if name in self._order),
                key=lambda row: self._order[row[ID]],
            )
            if listed:  # no list of nothing
                self.write(CSV, csv_bytes(filled(listed), columns_of(listed)))
        return len(listed)

    def _all_rows(self) -> dict[str, Row]:
        """Rows that any process has finished, by id."""
        known = [self.path / CSV, *sorted((self.path / PARTS).glob("*.csv"))]
        return {row[ID]: row for part in known if part.exists() for row in _complete_rows(part)}

    def _agree(self, settings: Mapping[str, Any]) -> None:
        """Writes the settings, or refuses those that are not the folder's."""
        file = self.path / SETTINGS
        if not file.exists():
            write_whole(file, (json.dumps(settings, indent=2) + "\n").encode())
            return
        found = read_json(file)
        found = found if isinstance(found, dict) else {}
        different = sorted(
            name for name in {*settings, *found} if settings.get(name) != found.get(name)
        )
        if different:
            told = ", ".join(
                f"{n}={_brief(settings.get(n))} (was {_brief(found.get(n))})" for n in different
            )
            raise ValueError(
                f"{self.path} holds samples of other settings: {told}. Name another folder, or "
                "make all anew with --overwrite."
            )

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Keeps other processes out of what the folder has once: its settings and `train.csv`."""
        with open(self.path / PARTS / ".lock", "a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def columns_of(rows: Sequence[Row]) -> list[str]:
    """All columns of the rows, in the order in which they appear."""
    return list(dict.fromkeys(name for row in rows for name in row))


def filled(rows: Sequence[Row]) -> list[Row]:
    """The rows with every column in each, empty where a row has none."""
    columns = columns_of(rows)
    return [{name: row.get(name, "") for name in columns} for row in rows]


def read_rows(path: Path, *needed: str, of: str = "mugv-jax post sample") -> list[Row]:
    """Rows of the `train.csv` in a folder, with all of their columns.

    needed: columns that must be there, beside the id.  of: command that makes such a folder.

    Raises:
        ValueError: no such file, no rows, a missing column, or one id twice.
    """
    path = existing_file(path / CSV, "samples")
    found, records = read_csv(path, (*COLUMNS, *needed))
    missing = [name for name in (ID, *needed) if name not in found]
    if missing:
        raise ValueError(
            f"{path} lacks the column {', '.join(missing)}; it has {', '.join(found) or 'none'}: "
            f"is it a folder of `{of}`?"
        )
    rows: dict[str, Row] = {}
    for where, values in records:
        if MISTAKE in values:
            raise ValueError(f"{path}, {where}: {values[MISTAKE]}.")
        row = {name: str(values.get(name, "")) for name in found}
        if row[ID] in rows or not row[ID]:
            raise ValueError(f"{path}, {where}: {ID}={row[ID]!r} is empty or there twice.")
        rows[row[ID]] = row
    if not rows:
        raise ValueError(f"{path} has no rows: fill the folder with `{of}` first.")
    return list(rows.values())


def _brief(value: object) -> str:
    """A setting as a message shows it: long ones, such as all times of the steps, are cut."""
    text = str(value)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."


def _complete_rows(path: Path) -> list[Row]:
    """The complete rows of a csv file that this program has written."""
    with open(path, encoding="utf-8", newline="") as file:
        return [row for row in csv.DictReader(file) if None not in row.values()]
