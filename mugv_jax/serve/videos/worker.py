# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The process that has the models: it makes what the server sends, until the server is gone."""

import contextlib
import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import jax

from mugv_jax.data.folder_lock import only_process
from mugv_jax.serve.videos.generators import Generator
from mugv_jax.serve.videos.making import Maker
from mugv_jax.serve.videos.messages import Cancel, Idle, Job, Make, Ready
from mugv_jax.serve.videos.places import Places
from mugv_jax.serve.videos.pod import IDLE_S, Pod
from mugv_jax.video import Video

LOCK = "worker.lock"
LOCK_S = 60.0  # for the worker of a server that was killed to end
COMPILED = "/jax/core/compile/backend_compile_duration"


class Compilations:
    """Number and time of the programs that this process has compiled."""

    def __init__(self):
        self.count, self.seconds = 0, 0.0
        jax.monitoring.register_event_duration_secs_listener(self._hear)

    def _hear(self, event: str, duration_secs: float, **_: Any) -> None:
        if event == COMPILED:
            self.count += 1
            self.seconds += duration_secs


class Inbox:
    """Messages of the server, read by a thread of its own.

    cancelled: ids of videos that are not wanted.
    """

    def __init__(self, connection: Connection):
        self.cancelled: set[str] = set()
        self._connection, self._made = connection, queue.Queue[Make]()
        threading.Thread(target=self._read, name="inbox", daemon=True).start()

    def next(self, timeout_s: float | None) -> tuple[Job, ...] | None:
        """Jobs to make together; None if there are none after a while."""
        try:
            return self._made.get(timeout=timeout_s).jobs
        except queue.Empty:
            return None

    def _read(self) -> None:
        while True:
            try:
                message = self._connection.recv()
            except (EOFError, OSError):
                os._exit(1)  # the server is gone; nothing here must be kept
            if isinstance(message, Cancel):
                self.cancelled.add(message.id)
            else:
                self._made.put(message)


def work(
    connection: Connection,
    folder: Path,
    generator: Generator,
    open_pipeline: Callable[[], Any],
    *,
    loras: Mapping[str, Path],
    open_enhancer: Callable[[], Callable[[Video], Video] | None],
) -> None:
    """Make videos for ever.

    connection: pipe to the server of this machine, which has the requests if this process leads.
    open_pipeline, open_enhancer: make the pipeline and the function that enhances videos.

    Raises:
        ValueError: models that cannot be used.
    """
    for number in (
        signal.SIGINT,
        signal.SIGTERM,
    ):  # sent to all processes; the server ends this one
        signal.signal(number, signal.SIG_IGN)
    inbox, compilations, pod = Inbox(connection), Compilations(), Pod.joined()
    with _places(folder, pod) as places:
        pipeline, enhance = open_pipeline(), open_enhancer()
        pipeline.models.digests()  # of the records; now, not in the first request
        report = connection.send if pod.leads else _nothing
        maker = Maker(generator, pipeline, places, pod, loras=loras, enhance=enhance, report=report)
        connection.send(Ready(pod.leads))
        while True:
            _turn(pod, inbox, maker, places)
            report(Idle(compilations.count, compilations.seconds))


def _turn(pod: Pod, inbox: Inbox, maker: Maker, places: Places) -> None:
    """Wait for jobs and make them."""
    jobs, files = None, {}
    while not jobs:
        mine = inbox.next(None if pod.count == 1 else IDLE_S) if pod.leads else None
        jobs, files = pod.share((mine, _files(pod, places, mine))) or (None, {})
    if not pod.leads:
        for path, content in files.items():
            target = places.folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
    maker.make(jobs, inbox.cancelled if pod.leads else ())
    for job in jobs:
        inbox.cancelled.discard(job.id)
        if not pod.leads:
            places.remove(job.id)


def _files(pod: Pod, places: Places, jobs: tuple[Job, ...] | None) -> dict[str, bytes]:
    """Files of jobs by their path in the folder, for processes of other machines."""
    if pod.count == 1 or not jobs:
        return {}
    folders = [places.inputs(job.id) for job in jobs if job.settings["inputs"]]
    paths = [path for folder in folders for path in folder.iterdir()]
    return {str(path.relative_to(places.folder)): path.read_bytes() for path in paths}


@contextlib.contextmanager
def _places(folder: Path, pod: Pod) -> Iterator[Places]:
    """Places in the server's folder, or in one of their own for processes that follow."""
    if not pod.leads:
        yield Places(folder / f"process_{pod.number}")
        return
    with contextlib.ExitStack() as stack:
        until = time.monotonic() + LOCK_S
        while True:
            try:
                stack.enter_context(only_process(folder, LOCK))
                break
            except ValueError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.2)
        yield Places(folder)


def _nothing(_: Any) -> None:
    """Report of a process that follows: the leader reports for all."""
