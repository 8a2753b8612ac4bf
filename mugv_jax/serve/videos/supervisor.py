# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The worker's life and work, as the server sees it: started, given batches, watched, restarted."""

import asyncio
import base64
import contextlib
import logging
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from starlette.concurrency import run_in_threadpool

from mugv_jax.serve.videos.events import PREVIEW, STATUS, Hub
from mugv_jax.serve.videos.messages import (
    Cancel,
    Done,
    Failed,
    Idle,
    Job,
    Make,
    Preview,
    Step,
)
from mugv_jax.serve.videos.metrics import Metrics
from mugv_jax.serve.videos.offer import Offer
from mugv_jax.serve.videos.places import VIDEO, Places
from mugv_jax.serve.videos.store import CANCELLED, COMPLETED, FAILED, Entry, Store
from mugv_jax.serve.videos.videos import Live, video_of
from mugv_jax.serve.videos.workers import Worker

log = logging.getLogger(__name__)

RESTART_S = (0.5, 2.0, 10.0, 60.0)  # until a worker that ended is started again


class Gone:
    """The worker has ended; a message of our own."""


class Wake:
    """There may be something to do; a message of our own."""


class Supervisor:
    """Takes requests from the store to a worker, and its answers to the store and the streams.

    start: starts another worker.  first: the worker that is there.
    batch: most videos that are made together.
    keep_s: seconds for which results are kept, or None.
    ready: whether a worker is there.
    """

    def __init__(
        self,
        store: Store,
        places: Places,
        offer: Offer,
        hub: Hub,
        metrics: Metrics,
        start: Callable[[], Worker],
        *,
        first: Worker,
        batch: int,
        keep_s: float | None,
    ):
        self._store, self._places, self._offer = store, places, offer
        self._hub, self._metrics, self._start = hub, metrics, start
        self._batch, self.keep_s = batch, keep_s
        self.ready = False
        self._live: dict[str, Live] = {}
        self._messages: asyncio.Queue[Any] = asyncio.Queue()
        self._worker: Worker | None = first
        self._busy = False
        self._compiled = (0, 0.0)

    def show(self, entry: Entry) -> dict[str, Any]:
        """The video as clients see it."""
        position, live = self._store.position(entry), self._live.get(entry.id)
        return video_of(entry, self._offer, position=position, live=live, keep_s=self.keep_s)

    def preview(self, id: str) -> dict[str, Any] | None:
        """The newest preview of a video in progress."""
        live = self._live.get(id)
        return None if live is None else live.preview

    def wake(self) -> None:
        """Say that a request has come."""
        self._messages.put_nowait(Wake())

    def publish(self, entry: Entry) -> None:
        """Tell a change of one video to those who listen."""
        if entry.owner in self._hub.listened():
            self._hub.put(entry.owner, entry.id, STATUS, self.show(entry))

    def moved(self) -> None:
        """Tell that the queue has moved, and count it."""
        active = self._store.active()
        waiting = [entry for entry in active if entry.started_at is None]
        self._metrics.queued.set(len(waiting))
        self._metrics.in_progress.set(len(active) - len(waiting))
        listened = self._hub.listened()
        for position, entry in enumerate(waiting, start=1):
            if entry.owner in listened:
                video = video_of(
                    entry, self._offer, position=position, live=None, keep_s=self.keep_s
                )
                self._hub.put(entry.owner, entry.id, STATUS, video)

    async def cancel(self, entry: Entry) -> Entry | None:
        """Cancel a video; None if it has ended already."""
        message = "it was cancelled."
        ended = await run_in_threadpool(
            self._store.finish, entry.id, CANCELLED, code="cancelled", message=message
        )
        if ended is not None:
            self._send(Cancel(entry.id))
            self._ended(ended)
            self.moved()
        return ended

    async def run(self) -> None:
        """Keep a worker, until the task is cancelled."""
        ends = 0
        try:
            while True:
                began = time.monotonic()
                await self._work()
                ends = 0 if time.monotonic() - began > RESTART_S[-1] else ends + 1
                self._metrics.worker_ends.inc()
                log.error("the worker has ended; it is started again.")
                for entry in await run_in_threadpool(self._store.requeue, counted=True):
                    self._ended(entry) if entry.state == FAILED else self.publish(entry)
                self.moved()
                await asyncio.sleep(RESTART_S[min(ends, len(RESTART_S)) - 1])
        finally:
            await self._end()
            await run_in_threadpool(self._store.requeue, counted=False)

    async def _work(self) -> None:
        """Serve a worker until it ends, a new one if there is none."""
        self._messages = asyncio.Queue()  # what an earlier worker said counts no more
        self._busy, self._compiled = False, (0, 0.0)
        self._live.clear()
        try:
            if self._worker is None:
                self._worker = await run_in_threadpool(self._start)
            self._listen(self._worker.connection)
            self.ready = True
            self._metrics.worker_up.set(1)
            message: Any = Wake()
            while not isinstance(message, Gone):
                await self._handle(message)
                await self._give()
                message = await self._messages.get()
        except (ValueError, ChildProcessError) as error:
            log.error("the worker cannot start: %s", error)
        finally:
            await self._end()

    def _listen(self, connection: Connection) -> None:
        loop = asyncio.get_running_loop()
        threading.Thread(
            target=_read, args=(connection, loop, self._messages), name="worker", daemon=True
        ).start()

    async def _give(self) -> None:
        """Give the worker its next batch, if it is free."""
        if self._busy:
            return
        entries = await run_in_threadpool(self._store.claim, self._batch)
        if not entries:
            return
        self._busy = True
        log.info("begun: %s", ", ".join(entry.id for entry in entries))
        self._send(Make(tuple(Job(entry.id, entry.settings) for entry in entries)))
        self._metrics.batch.observe(len(entries))
        for entry in entries:
            self._live[entry.id] = Live()
            self._metrics.waited.observe(max(0.0, (entry.started_at or 0) - entry.created_at))
            self.publish(entry)
        self.moved()

    async def _handle(self, message: Any) -> None:
        """Take over what the worker says."""
        if isinstance(message, Idle):
            self._busy = False
            self._count(message)
        elif isinstance(message, Step):
            await self._step(message)
        elif isinstance(message, Preview):
            await self._preview(message)
        elif isinstance(message, Done):
            await self._finish(message.id, COMPLETED)
        elif isinstance(message, Failed):
            await self._finish(message.id, FAILED, code=message.code, message=message.message)

    async def _step(self, message: Step) -> None:
        for id in message.ids:
            live = self._live.get(id)
            if live is None:
                continue
            live.step, live.steps = message.step, message.steps
            if self._hub.listened():
                entry = await run_in_threadpool(self._store.get, id)
                if entry is not None:
                    self.publish(entry)

    async def _preview(self, message: Preview) -> None:
        live = self._live.get(message.id)
        if live is None:
            return
        image = f"data:image/jpeg;base64,{base64.b64encode(message.jpeg).decode()}"
        live.preview = {
            "id": message.id, "step": message.step, "steps": message.steps, "image": image,
        }  # fmt: skip
        entry = await run_in_threadpool(self._store.get, message.id)
        if entry is not None:
            self._hub.put(entry.owner, entry.id, PREVIEW, live.preview)

    async def _finish(self, id: str, state: str, **why: Any) -> None:
        entry = await run_in_threadpool(self._store.finish, id, state, **why)
        if entry is not None:
            self._ended(entry)
        elif state == COMPLETED:  # it was cancelled or removed meanwhile
            kept = await run_in_threadpool(self._store.get, id)
            if kept is None:
                await run_in_threadpool(self._places.remove, id)
            else:
                self._places.result(id, VIDEO).unlink(missing_ok=True)

    def _ended(self, entry: Entry) -> None:
        self._live.pop(entry.id, None)
        seconds = (entry.completed_at or 0) - (entry.started_at or entry.created_at)
        log.info("%s: %s after %.1f s", entry.state, entry.id, max(0.0, seconds))
        self._metrics.videos.labels(entry.state).inc()
        if entry.state == COMPLETED and entry.started_at is not None and entry.completed_at:
            self._metrics.made.observe(entry.completed_at - entry.started_at)
        self.publish(entry)
        self.moved()

    def _count(self, idle: Idle) -> None:
        count, seconds = self._compiled
        self._metrics.compilations.inc(idle.compilations - count)
        self._metrics.compiling.inc(max(0.0, idle.seconds - seconds))
        self._compiled = (idle.compilations, idle.seconds)

    def _send(self, message: Any) -> None:
        with contextlib.suppress(OSError):  # the reader notices that the worker is gone
            if self._worker is not None:
                self._worker.connection.send(message)

    async def _end(self) -> None:
        self.ready = False
        self._metrics.worker_up.set(0)
        worker, self._worker = self._worker, None
        if worker is not None:
            await run_in_threadpool(worker.end)


def _read(
    connection: Connection, loop: asyncio.AbstractEventLoop, into: asyncio.Queue[Any]
) -> None:
    """Body of the thread that reads the worker's messages."""
    message: Any = None
    while not isinstance(message, Gone):
        try:
            message = connection.recv()
        except (EOFError, OSError):
            message = Gone()
        with contextlib.suppress(RuntimeError):  # the server has stopped
            loop.call_soon_threadsafe(into.put_nowait, message)
