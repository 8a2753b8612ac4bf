# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""How much one client may ask for at a time."""

import collections
import contextlib
import time
from collections.abc import Iterator

from mugv_jax.serve.http.errors import too_many
from mugv_jax.serve.videos.offer import Limits
from mugv_jax.serve.videos.store import ACTIVE, QUEUED, Store

MOST_UPLOADS = 4  # requests of one key whose bodies are read at the same time
RETRY_S = 5.0
FORGOTTEN = 10_000  # owners after which full buckets are forgotten


class Buckets:
    """A bucket of tokens for each owner, which fills `per_minute` and holds as many."""

    def __init__(self, per_minute: float):
        self._rate, self._room = per_minute / 60, max(1.0, per_minute)
        self._buckets: dict[str, tuple[float, float]] = {}  # owner -> (tokens, when)

    def take(self, owner: str, now: float) -> float:
        """Take a token; returns 0, or the seconds until there is one."""
        tokens, when = self._buckets.get(owner, (self._room, now))
        tokens = min(self._room, tokens + (now - when) * self._rate)
        if len(self._buckets) > FORGOTTEN:
            self._buckets.clear()
        if tokens < 1:
            self._buckets[owner] = (tokens, now)
            return (1 - tokens) / self._rate
        self._buckets[owner] = (tokens - 1, now)
        return 0.0


class Gate:
    """Admits requests to make a video, before their bodies are read."""

    def __init__(self, limits: Limits, store: Store):
        self._limits, self._store = limits, store
        self._buckets = Buckets(limits.per_minute)
        self._uploads = collections.Counter[str]()

    @contextlib.contextmanager
    def admitted(self, owner: str) -> Iterator[None]:
        """Context in which the body of a request is read.

        Raises:
            Refusal: the client asks for too much, or too many wait.
        """
        wait_s = self._buckets.take(owner, time.monotonic())
        if wait_s:
            raise too_many(
                f"more than {self._limits.per_minute:g} requests in a minute: wait "
                f"{wait_s:.0f} s.", wait_s, "rate_limit_exceeded",
            )  # fmt: skip
        if self._uploads[owner] >= MOST_UPLOADS:
            raise too_many(
                f"{MOST_UPLOADS} requests are being sent already: send them one after another.",
                1, "too_many_uploads",
            )  # fmt: skip
        self.check(owner)
        self._uploads[owner] += 1
        try:
            yield
        finally:
            self._uploads[owner] -= 1
            if not self._uploads[owner]:
                del self._uploads[owner]

    def check(self, owner: str) -> None:
        """Raise a Refusal if the queue is full, or the client has its share of it.

        Called again right before a request is added: others came in while its body was read.
        """
        waiting, most = self._store.count(QUEUED), self._limits.queue
        if waiting >= most:
            raise too_many(
                f"{waiting} requests wait, and at most {most} may: try again later.",
                RETRY_S, "queue_full",
            )  # fmt: skip
        own, most = self._store.count(*ACTIVE, owner=owner), self._limits.per_key
        if own >= most:
            raise too_many(
                f"{own} of your requests wait or are made, and at most {most} may: wait for one "
                "of them, or cancel one.", RETRY_S, "too_many_requests",
            )  # fmt: skip
