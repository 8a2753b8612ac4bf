# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""A worker that makes no videos, but answers as one does, in a thread of the test.

Its prompts say what happens: "hold" is made until it is cancelled, "fail" fails, "die" ends the
worker, and all others are done at once.
"""

import contextlib
import multiprocessing
import threading

import numpy as np

from mugv_jax.serve.videos.making import jpeg, spritesheet, thumbnail
from mugv_jax.serve.videos.messages import Cancel, Done, Failed, Idle, Preview, Step
from mugv_jax.serve.videos.places import SPRITESHEET, THUMBNAIL, Places
from mugv_jax.serve.videos.workers import Worker
from mugv_jax.video import write_video

FRAMES = np.zeros((3, 16, 16, 3), np.uint8)


class FakeProcess:
    """The thread as a process; ending it closes its pipe."""

    def __init__(self, connection):
        self._connection = connection

    def kill(self):
        self._connection.close()

    def join(self, timeout=None):
        pass


def started(folder):
    """A worker that writes into `folder`, and the batches that it was given."""
    own, other = multiprocessing.Pipe()
    batches = []
    threading.Thread(target=serve, args=(other, Places(folder), batches), daemon=True).start()
    return Worker(FakeProcess(own), own, True), batches


def serve(connection, places, batches):
    cancelled = set()
    with contextlib.suppress(EOFError, OSError):
        while True:
            message = connection.recv()
            if isinstance(message, Cancel):
                cancelled.add(message.id)
                continue
            batches.append(message.jobs)
            ids = tuple(job.id for job in message.jobs)
            connection.send(Step(ids, 1, 2))
            connection.send(Preview(ids[0], 1, 2, jpeg(FRAMES[0], 16)))
            for job in message.jobs:
                prompt = job.settings["prompt"]
                if prompt == "die":
                    connection.close()
                while prompt == "hold" and job.id not in cancelled:
                    cancelled.add(connection.recv().id)
                if prompt == "fail":
                    connection.send(Failed(job.id, "server_error", "it was meant to fail."))
                elif job.id not in cancelled:
                    write_video(places.result(job.id), FRAMES, 8)
                    places.result(job.id, THUMBNAIL).write_bytes(thumbnail(FRAMES[0]))
                    places.result(job.id, SPRITESHEET).write_bytes(spritesheet(FRAMES))
                    connection.send(Done(job.id))
            connection.send(Idle(len(batches), 0.0))
