# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The folder that `mugv-jax data encode` fills, in the published training format.

latents/ID-KEY.pt             KEY is a hash of the video; a file that exists is complete
text_features/ID-KEY_text.pt  KEY is a hash of the caption
text_features/ID-KEY_short.pt the same of the short caption, if there is one
empty_text.pt                 the empty caption, which replaces captions that training drops
parts/I-of-N.csv              rows finished by process I of N
train.csv                     all rows finished so far, in the order of the captions
encode.json                   the settings, the same for all samples of a folder
"""

import collections
import contextlib
import csv
import dataclasses
import fcntl
import hashlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mugv_jax.data.bad_sample import BadSample
from mugv_jax.data.captions import Captioned
from mugv_jax.data.fields import flow_fields
from mugv_jax.data.folder_lock import only_process
from mugv_jax.data.part import WHOLE
from mugv_jax.data.published import ID, SOURCE
from mugv_jax.data.samples import CSV
from mugv_jax.data.whole_files import csv_bytes, write_whole
from mugv_jax.files import existing_file, read_json

SETTINGS = "encode.json"
PARTS = "parts"
LATENTS, TEXTS = "latents", "text_features"
FILES = (CSV, SETTINGS, PARTS, LATENTS, TEXTS)  # what is written to the folder
COLUMNS = (ID, SOURCE, *(field.column for field in flow_fields()))
SHORT_COLUMN = "text_short_feat_path"  # in lists with short captions only
NORMALISED = "generated"  # the format's word for latents that are normalised
# A video is identified by its size and its two ends: reading all of it every time would take as
# long as encoding it, and copying may change its time of change.
END_BYTES = 64 * 2**10
KEY_DIGITS = 12

Row = dict[str, str]


@dataclasses.dataclass(frozen=True)
class Job:
    """One sample to encode.

    latent, text: the sample's files, relative to the folder.
    short: file of its short caption, if it has one.
    """

    entry: Captioned
    latent: str
    text: str
    short: str | None = None

    @property
    def captions(self) -> dict[str, str]:
        """Caption of each file of text states."""
        found = {self.text: self.entry.caption}
        if self.short is not None and self.entry.short is not None:
            found[self.short] = self.entry.short
        return found


class EncodedFolder:
    """One process's view of the folder.

    captions: the whole list, the same in every process; `entries` is this process's share.
    settings: everything besides a video and its caption that changes a sample's files.

    Raises:
        ValueError: a shard that does not exist, or a folder with samples of other settings.
    """

    def __init__(
        self,
        path: Path,
        captions: Sequence[Captioned],
        settings: Mapping[str, Any],
        *,
        shard_index: int,
        shard_count: int,
    ):
        if not 0 <= shard_index < shard_count:
            raise ValueError(
                f"shard index={shard_index} of shard count={shard_count} must lie in 0 to "
                f"{shard_count - 1}."
            )
        self.path = path
        self.entries = captions[shard_index::shard_count]
        short = any(entry.short is not None for entry in captions)
        self._columns = (*COLUMNS, SHORT_COLUMN) if short else COLUMNS
        self._order = {entry.id: number for number, entry in enumerate(captions)}
        self._part = f"{shard_index:05d}-of-{shard_count:05d}.csv"
        self._parts = f"*-of-{shard_count:05d}.csv"
        for folder in (LATENTS, TEXTS, PARTS):
            (path / folder).mkdir(parents=True, exist_ok=True)
        with self._locked():
            self._agree(json.loads(json.dumps(settings)))
        known = [path / CSV, *sorted((path / PARTS).glob("*.csv"))]
        rows = [row for part in known if part.exists() for row in _read_part(part)]
        self._known = {row["latent_path"]: row for row in rows}
        self._older = collections.defaultdict(list)  # id -> all rows of the sample
        for row in rows:
            self._older[row[ID]].append(row)
        self._rows: dict[str, Row] = {}

    def only_process(self) -> contextlib.AbstractContextManager[None]:
        """Context in which no other process encodes this share; see `folder_lock`."""
        return only_process(self.path / PARTS, f".{self._part}.lock")

    def job(self, entry: Captioned) -> Job:
        """The files that `entry` becomes.

        Raises:
            BadSample: the video cannot be read.
        """
        source = _source_key(entry)
        short = entry.short
        return Job(
            entry=entry,
            latent=f"{LATENTS}/{entry.id}-{source}.pt",
            text=f"{TEXTS}/{entry.id}-{_caption_key(entry.caption)}_text.pt",
            short=None if short is None else f"{TEXTS}/{entry.id}-{_caption_key(short)}_short.pt",
        )

    def has(self, relative: str) -> bool:
        """Whether a file exists, and is therefore complete."""
        return (self.path / relative).exists()

    def write(self, relative: str, content: bytes) -> None:
        """Writes a file of the folder, whole or not at all."""
        write_whole(self.path / relative, content)

    def recall(self, job: Job) -> bool:
        """Reuses the row of an earlier run; whether that run finished the sample."""
        row = self._known.get(job.latent)
        if row is None or not all(map(self.has, (job.latent, *job.captions))):
            return False
        self.finish(job, float(row["fps"]))
        return True

    def finish(self, job: Job, fps: float) -> None:
        """Records that all files of a sample are written."""
        row = {
            ID: job.entry.id,
            SOURCE: NORMALISED,
            "latent_path": job.latent,
            "text_feat_path": job.text,
            "fps": repr(fps),
            SHORT_COLUMN: job.short or "",
        }
        self._rows[job.entry.id] = {column: row[column] for column in self._columns}

    def flush(self) -> int:
        """Writes the finished rows to this process's part, and all parts to `train.csv`.

        Older files of samples that were encoded again are removed. Returns the number of rows.
        """
        rows = sorted(self._rows.values(), key=self._place)
        self.write(f"{PARTS}/{self._part}", csv_bytes(rows, self._columns))
        with self._locked():  # processes that end at the same time must see each other's parts
            merged: dict[str, Row] = {}
            for part in sorted((self.path / PARTS).glob(self._parts)):
                merged |= {row[ID]: row for row in _read_part(part)}
            current = (
                {column: row.get(column, "") for column in self._columns}
                for row in merged.values()
                if row[ID] in self._order
            )
            listed = sorted(current, key=self._place)
            if listed or self.has(CSV):  # no list of nothing
                self.write(CSV, csv_bytes(listed, self._columns))
        self._remove_replaced()
        return len(listed)

    def _remove_replaced(self) -> None:
        """Removes files of earlier rows that the current rows no longer name."""
        for row in self._rows.values():
            for older in self._older.pop(row[ID], ()):
                for column in ("latent_path", "text_feat_path", SHORT_COLUMN):
                    if older.get(column) and older[column] != row.get(column):
                        (self.path / older[column]).unlink(missing_ok=True)

    def _place(self, row: Row) -> int:
        return self._order[row[ID]]

    def _agree(self, settings: Mapping[str, Any]) -> None:
        """Writes the settings, or refuses those that are not the folder's."""
        file = self.path / SETTINGS
        if not file.exists():
            write_whole(file, (json.dumps(settings, indent=2) + "\n").encode())
            return
        found = read_json(file)
        if not isinstance(found, dict):
            raise ValueError(
                f"{file}: must hold the settings of the samples, not {str(found)[:80]!r}."
            )
        different = sorted(
            name for name in {*settings, *found} if settings.get(name) != found.get(name)
        )
        if different:
            told = ", ".join(f"{n}={settings.get(n)} (was {found.get(n)})" for n in different)
            raise ValueError(
                f"{self.path} holds samples of other settings: {told}. Encode to another folder, "
                "and train on both."
            )

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Keeps other processes out of what the folder has once: its settings and `train.csv`."""
        with open(self.path / PARTS / ".lock", "a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _caption_key(caption: str) -> str:
    """Hash of a caption."""
    return hashlib.sha256(caption.encode()).hexdigest()[:KEY_DIGITS]


def _source_key(entry: Captioned) -> str:
    """Hash of a video's size and two ends, of its frame rate, and of the part of it."""
    digest = hashlib.sha256()
    try:
        with open(existing_file(entry.path), "rb") as file:
            digest.update(file.read(END_BYTES))
            size = file.seek(0, io.SEEK_END)
            file.seek(max(0, size - END_BYTES))
            digest.update(file.read())
    except OSError as error:
        raise BadSample(f"{str(entry.path)!r} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise BadSample(str(error)) from error
    digest.update(f"{size} {entry.fps}".encode())
    if entry.part != WHOLE:
        digest.update(f" {dataclasses.astuple(entry.part)}".encode())
    return digest.hexdigest()[:KEY_DIGITS]


def _read_part(path: Path) -> list[Row]:
    """The complete rows of a csv file."""
    with open(path, encoding="utf-8", newline="") as file:
        return [row for row in csv.DictReader(file) if None not in row.values()]
