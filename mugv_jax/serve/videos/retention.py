# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Removal of old results."""

import asyncio
import dataclasses
import logging
import time

from starlette.concurrency import run_in_threadpool

from mugv_jax.serve.videos.places import Places
from mugv_jax.serve.videos.store import Store

log = logging.getLogger(__name__)

EVERY_S = 60.0
DAY_S = 86_400.0


@dataclasses.dataclass(frozen=True)
class Retention:
    """How long results are kept.

    days: after their end; None without end.
    count: at most so many videos that have ended; None for any number.
    """

    days: float | None = None
    count: int | None = None

    @property
    def seconds(self) -> float | None:
        """Time for which results are kept."""
        return None if self.days is None else self.days * DAY_S

    def remove_old(self, store: Store, places: Places, now: float) -> int:
        """Remove what is older, or more; returns the number of videos."""
        ended = store.finished()
        beyond = 0 if self.count is None else max(0, len(ended) - self.count)
        old = [
            entry
            for number, entry in enumerate(ended)
            if number < beyond
            or (self.seconds is not None and now - (entry.completed_at or now) > self.seconds)
        ]
        for entry in old:
            store.remove(entry.id)  # first: a video without a file would be an error
            places.remove(entry.id)
        return len(old)

    async def keep_removing(self, store: Store, places: Places) -> None:
        """Remove old results every now and then."""
        while True:
            removed = await run_in_threadpool(self.remove_old, store, places, time.time())
            if removed:
                log.info("removed %d old videos", removed)
            await asyncio.sleep(EVERY_S)
