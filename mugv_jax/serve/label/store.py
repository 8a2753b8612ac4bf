# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Annotators, assignments and answers of a labelling set, in SQLite.

A change is on disk when its function returns: the database is in WAL mode with synchronous=FULL,
so that not even a crash of the machine loses it. Answers that were taken back stay, with the time.

    annotators    name, SHA-256 of the token
    assignments   which annotator was given which stage of which item, and until when
    answers       id made by the client, item, question, annotator, answer, left side, times
"""

import contextlib
import dataclasses
import hashlib
import hmac
import re
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from mugv_jax.serve.label.labelset import DATABASE

NAME = re.compile(r"[A-Za-z0-9_.@-]{1,64}")
TOKEN_BYTES = 24
VERSION = 1
BUSY_S = 30.0  # to wait for another process, such as `label tokens`
SCHEMA = """
CREATE TABLE annotators (
    name TEXT PRIMARY KEY, token_sha256 TEXT NOT NULL UNIQUE, made REAL NOT NULL
);
CREATE TABLE assignments (
    item TEXT NOT NULL, stage INTEGER NOT NULL, annotator TEXT NOT NULL,
    given REAL NOT NULL, expires REAL NOT NULL, PRIMARY KEY (item, stage, annotator)
);
CREATE TABLE answers (
    id TEXT PRIMARY KEY, item TEXT NOT NULL, question TEXT NOT NULL, annotator TEXT NOT NULL,
    answer TEXT NOT NULL, left_clip INTEGER, seconds REAL, made REAL NOT NULL, undone REAL
);
CREATE UNIQUE INDEX one_answer ON answers (item, question, annotator) WHERE undone IS NULL;
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answer:
    """One answer of one annotator.

    id: made by the client, so that the same answer sent again is known.
    answer: of the question's answers; for pairs "first", "same" or "second", whatever the sides.
    left_clip: number of the clip that was on the left, for pairs.
    seconds: from the item's appearance to the answer, as the client says.
    made, undone: seconds since 1970; undone is None for an answer that counts.
    """

    id: str
    item: str
    question: str
    annotator: str
    answer: str
    left_clip: int | None = None
    seconds: float | None = None
    made: float = 0.0
    undone: float | None = None


@dataclasses.dataclass(frozen=True)
class Assignment:
    """A stage of an item that an annotator was given, reserved until `expires`."""

    item: str
    stage: int
    annotator: str
    given: float
    expires: float


class Store:
    """The database of one labelling set; its functions may be called from any thread.

    Raises:
        ValueError: the file is damaged, of another version, or cannot be written.
    """

    def __init__(self, folder: Path):
        self.path = folder / DATABASE
        self._lock = threading.Lock()
        try:
            self._base = sqlite3.connect(
                self.path, timeout=BUSY_S, isolation_level=None, check_same_thread=False
            )
            self._base.execute("PRAGMA journal_mode=WAL")
            self._base.execute("PRAGMA synchronous=FULL")
            with self._changing() as base:
                (version,) = base.execute("PRAGMA user_version").fetchone()
                if not version:
                    for statement in filter(str.strip, SCHEMA.split(";")):
                        base.execute(statement)
                    base.execute(f"PRAGMA user_version={VERSION}")
        except sqlite3.Error as error:
            raise ValueError(f"{self.path} cannot be used: {error}.") from error
        if version not in (0, VERSION):
            raise ValueError(
                f"{self.path} has version {version}, and this program reads {VERSION}: use the "
                "program that made it."
            )

    def close(self) -> None:
        """Closes the file."""
        with self._lock:
            self._base.close()

    def add_annotator(self, name: str, *, replace: bool = False) -> str:
        """Adds an annotator, or gives one another token; returns the token, which is not kept.

        Raises:
            ValueError: a name of other characters, or one that is there.
        """
        if not NAME.fullmatch(name):
            raise ValueError(
                f"annotator {name[:64]!r} must be 1 to 64 letters, digits, '_', '.', '@' and '-'."
            )
        token = secrets.token_urlsafe(TOKEN_BYTES)
        how = "ON CONFLICT (name) DO UPDATE SET token_sha256 = excluded.token_sha256"
        try:
            with self._changing() as base:
                base.execute(
                    f"INSERT INTO annotators VALUES (?, ?, ?) {how if replace else ''}",
                    (name, _digest(token), time.time()),
                )
        except sqlite3.IntegrityError as error:
            raise ValueError(
                f"annotator {name!r} has a token already: give --overwrite for a new one, which "
                "ends the old one."
            ) from error
        return token

    def annotators(self) -> list[str]:
        """Names of all annotators."""
        return [name for (name,) in self._all("SELECT name FROM annotators ORDER BY name")]

    def annotator_of(self, token: str) -> str | None:
        """Whose token this is; every one is compared, in constant time."""
        given, found = _digest(token), None
        for name, digest in self._all("SELECT name, token_sha256 FROM annotators"):
            if hmac.compare_digest(digest, given):
                found = name
        return found

    def answers(self) -> list[Answer]:
        """All answers in the order in which they were made, also those that were taken back."""
        names = ", ".join(field.name for field in dataclasses.fields(Answer))
        rows = self._all(f"SELECT {names} FROM answers ORDER BY made, rowid")
        fields = [field.name for field in dataclasses.fields(Answer)]
        return [Answer(**dict(zip(fields, row, strict=True))) for row in rows]

    def add_answer(self, answer: Answer) -> None:
        """Adds an answer; it is on disk when this returns.

        Raises:
            sqlite3.IntegrityError: its id is there, or the annotator has answered the question.
        """
        values = dataclasses.astuple(answer)
        names = ", ".join(field.name for field in dataclasses.fields(Answer))
        with self._changing() as base:
            marks = ", ".join("?" * len(values))
            base.execute(f"INSERT INTO answers ({names}) VALUES ({marks})", values)

    def undo(self, answer_id: str, now: float) -> None:
        """Takes an answer back."""
        with self._changing() as base:
            base.execute("UPDATE answers SET undone = ? WHERE id = ?", (now, answer_id))

    def assignments(self) -> list[Assignment]:
        """All assignments, oldest first."""
        columns = "item, stage, annotator, given, expires"
        rows = self._all(f"SELECT {columns} FROM assignments ORDER BY given, rowid")
        return [Assignment(*row) for row in rows]

    def assign(self, assignments: list[Assignment]) -> None:
        """Adds assignments, or prolongs them."""
        with self._changing() as base:
            base.executemany(
                "INSERT INTO assignments VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT DO UPDATE SET expires = excluded.expires",
                [dataclasses.astuple(each) for each in assignments],
            )

    def _all(self, query: str) -> list[tuple]:
        with self._lock:
            return self._base.execute(query).fetchall()

    @contextlib.contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        """A transaction that is committed at the end, or rolled back after an error."""
        with self._lock:
            self._base.execute("BEGIN IMMEDIATE")
            try:
                yield self._base
                self._base.execute("COMMIT")
            except BaseException:
                if self._base.in_transaction:  # a full disk may have ended it
                    self._base.execute("ROLLBACK")
                raise


def add_annotators(
    folder: Path, names: Sequence[str], *, replace: bool = False
) -> list[tuple[str, str]]:
    """Adds annotators to the set in a folder; returns their names and tokens.

    Raises:
        ValueError: as `Store` and `Store.add_annotator`.
    """
    store = Store(folder)
    try:
        return [(name, store.add_annotator(name, replace=replace)) for name in names]
    finally:
        store.close()


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
