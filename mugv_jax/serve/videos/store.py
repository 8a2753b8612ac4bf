# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The queue on disk: one SQLite file, in which every accepted request and its state is committed.

    queued -> in_progress -> completed | failed | cancelled

What is in progress when the server is killed is queued again at the next start, MOST_ATTEMPTS times
at most. One process has the file open; its threads take turns.
"""

import contextlib
import dataclasses
import json
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mugv_jax.serve.videos.places import QUEUE

QUEUED, IN_PROGRESS = "queued", "in_progress"
COMPLETED, FAILED, CANCELLED = "completed", "failed", "cancelled"
ACTIVE = (QUEUED, IN_PROGRESS)
MOST_ATTEMPTS = 3
SCHEMA = """
CREATE TABLE IF NOT EXISTS videos (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    state TEXT NOT NULL,
    shape TEXT NOT NULL,
    settings TEXT NOT NULL,
    created_at REAL NOT NULL,
    started_at REAL,
    completed_at REAL,
    attempts INTEGER NOT NULL DEFAULT 0,
    error_code TEXT,
    error_message TEXT
);
CREATE INDEX IF NOT EXISTS by_state ON videos (state, number);
CREATE INDEX IF NOT EXISTS by_owner ON videos (owner, number);
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """A request and its state.

    number: place in the order in which requests were accepted.
    owner: name of the key that made it.
    shape: text that is equal for requests which may be made together.
    settings: the request, see `offer.Offer.settings`.
    """

    number: int
    id: str
    owner: str
    state: str
    shape: str
    settings: dict[str, Any]
    created_at: float
    started_at: float | None
    completed_at: float | None
    attempts: int
    error_code: str | None
    error_message: str | None


class Store:
    """The queue in a folder."""

    def __init__(self, folder: Path):
        # Reads have a connection of their own: they need not wait until a change is on the disk.
        self._writing, self._reading = threading.RLock(), threading.Lock()
        self._database, self._reader = (_opened(folder / QUEUE) for _ in range(2))
        self._database.executescript(SCHEMA)

    def close(self) -> None:
        """Close the file."""
        with self._writing, self._reading:
            self._database.close()
            self._reader.close()

    def add(self, id: str, owner: str, shape: str, settings: dict[str, Any]) -> Entry:
        """A new request at the end of the queue, committed when this returns."""
        with self._changing() as database:
            database.execute(
                "INSERT INTO videos (id, owner, state, shape, settings, created_at)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (id, owner, QUEUED, shape, json.dumps(settings), time.time()),
            )
        found = self.get(id)
        assert found is not None
        return found

    def get(self, id: str) -> Entry | None:
        """The request of this id."""
        found = self._entries("WHERE id = ?", id)
        return found[0] if found else None

    def page(
        self, owner: str, *, limit: int, after: int | None = None, newest_first: bool = True
    ) -> list[Entry]:
        """Up to `limit` requests of an owner that follow number `after` in the order."""
        order, beyond = ("DESC", "<") if newest_first else ("ASC", ">")
        rest = f"ORDER BY number {order} LIMIT ?"
        if after is None:
            return self._entries(f"WHERE owner = ? {rest}", owner, limit)
        return self._entries(f"WHERE owner = ? AND number {beyond} ? {rest}", owner, after, limit)

    def active(self, owner: str | None = None) -> list[Entry]:
        """Requests that wait or are made, in order; of one owner, or of all."""
        marks = "WHERE state IN (?, ?)" + (" AND owner = ?" if owner is not None else "")
        own = () if owner is None else (owner,)
        return self._entries(f"{marks} ORDER BY number", *ACTIVE, *own)

    def count(self, *states: str, owner: str | None = None) -> int:
        """Number of requests in some states; of one owner, or of all."""
        marks = ",".join("?" * len(states))
        own = (" AND owner = ?", (owner,)) if owner is not None else ("", ())
        query = f"SELECT COUNT(*) FROM videos WHERE state IN ({marks}){own[0]}"
        with self._reading:
            return self._reader.execute(query, (*states, *own[1])).fetchone()[0]

    def position(self, entry: Entry) -> int | None:
        """Place in the queue, 1 for the next one; None if it does not wait."""
        if entry.state != QUEUED:
            return None
        query = "SELECT COUNT(*) FROM videos WHERE state = ? AND number < ?"
        with self._reading:
            return 1 + self._reader.execute(query, (QUEUED, entry.number)).fetchone()[0]

    def claim(self, most: int) -> list[Entry]:
        """The next requests to make together, now in progress; none if nothing waits.

        Their number is a power of two up to `most`, so that few sizes of batches are compiled. A
        request whose worker died is tried alone: it may be to blame.
        """
        with self._changing() as database:
            first = _entries(database, "WHERE state = ? ORDER BY number LIMIT 1", QUEUED)
            if not first:
                return []
            found = first
            if most > 1 and not first[0].attempts:
                query = "WHERE state = ? AND shape = ? AND attempts = 0 ORDER BY number LIMIT ?"
                found = _entries(database, query, QUEUED, first[0].shape, most)
            found = found[: 1 << (len(found).bit_length() - 1)]
            for each in found:
                database.execute(
                    "UPDATE videos SET state = ?, started_at = ?, attempts = attempts + 1"
                    " WHERE number = ?",
                    (IN_PROGRESS, time.time(), each.number),
                )
        return [each for each in map(self.get, (each.id for each in found)) if each is not None]

    def finish(
        self, id: str, state: str, *, code: str | None = None, message: str | None = None
    ) -> Entry | None:
        """The request, now in its last state; None if it is gone or has a last state already."""
        with self._changing() as database:
            changed = database.execute(
                "UPDATE videos SET state = ?, completed_at = ?, error_code = ?, error_message = ?"
                " WHERE id = ? AND state IN (?, ?)",
                (state, time.time(), code, message, id, *ACTIVE),
            ).rowcount
        return self.get(id) if changed else None

    def requeue(self, *, counted: bool) -> list[Entry]:
        """Queue again what is in progress, because its worker is gone; returns what was changed.

        counted: the attempt counts; with MOST_ATTEMPTS of them the request has failed.
        """
        with self._changing() as database:
            found = _entries(database, "WHERE state = ? ORDER BY number", IN_PROGRESS)
            for each in found:
                if counted and each.attempts >= MOST_ATTEMPTS:
                    message = (
                        f"the process that made it ended {each.attempts} times before it was done; "
                        "try a smaller size, or look into the server's log."
                    )
                    self.finish(each.id, FAILED, code="worker_ended", message=message)
                    continue
                database.execute(
                    "UPDATE videos SET state = ?, started_at = NULL, attempts = attempts - ?"
                    " WHERE number = ?",
                    (QUEUED, 0 if counted else 1, each.number),
                )
        return [each for each in map(self.get, (each.id for each in found)) if each is not None]

    def remove(self, id: str) -> None:
        """Forget a request."""
        with self._changing() as database:
            database.execute("DELETE FROM videos WHERE id = ?", (id,))

    def ids(self) -> set[str]:
        """Ids of all requests."""
        with self._reading:
            return {row[0] for row in self._reader.execute("SELECT id FROM videos")}

    def finished(self) -> list[Entry]:
        """Requests in a last state, those that ended first in front."""
        return self._entries("WHERE state NOT IN (?, ?) ORDER BY completed_at", *ACTIVE)

    @contextlib.contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        """A transaction, committed at the end; one inside of another is part of it."""
        with self._writing:
            if self._database.in_transaction:
                yield self._database
                return
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")

    def _entries(self, rest: str, *values: Any) -> list[Entry]:
        with self._reading:
            return _entries(self._reader, rest, *values)


def _opened(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
    database.row_factory = sqlite3.Row
    for pragma in ("journal_mode=WAL", "synchronous=FULL"):
        database.execute(f"PRAGMA {pragma}")
    return database


def _entries(database: sqlite3.Connection, rest: str, *values: Any) -> list[Entry]:
    rows: Sequence[sqlite3.Row] = database.execute(
        f"SELECT * FROM videos {rest}", values
    ).fetchall()
    return [Entry(**{**dict(row), "settings": json.loads(row["settings"])}) for row in rows]
