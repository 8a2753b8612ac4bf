# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""A process that reads uploaded files first, so that a hostile one harms nothing else.

It has a bounded memory, and is ended if it takes too long. Pictures are written anew as PNG: what
other programs, and browsers, see of an upload are its pixels.
"""

import contextlib
import multiprocessing
import resource
import signal
import threading
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from mugv_jax.serve.http.errors import Refusal

TIMEOUT_S = 30.0
START_S = 120.0  # for its imports, on a busy machine
MEMORY_BYTES = 6 * 2**30
MOST_PIXELS = 50_000_000  # of a picture
PNG_LEVEL = 1


class Checker:
    """The process, started when it is first needed and again after it was ended."""

    def __init__(self):
        self._lock = threading.Lock()
        self._process: Any = None
        self._connection: Any = None

    def start(self) -> None:
        """Start the process before it is needed; the first question finds what is wrong."""
        with self._lock, contextlib.suppress(Refusal, EOFError, OSError):
            self._started()

    def picture(self, source: Path, target: Path) -> None:
        """Write the picture in `source` to `target`, a .png file.

        Raises:
            Refusal: no picture, or one that is too large or takes too long.
        """
        self._ask("picture", str(source), str(target))

    def video(self, source: Path, frames: int, fps: float) -> None:
        """Check that the last `frames` frames of a video can be read.

        Raises:
            Refusal: no video, a shorter one, or one that takes too long.
        """
        self._ask("video", str(source), frames, fps)

    def close(self) -> None:
        """End the process, also while it starts."""
        process = self._process
        if process is not None:
            process.kill()
        with self._lock:
            self._end()

    def _ask(self, *question: Any) -> None:
        with self._lock:
            connection = self._started()
            try:
                connection.send(question)
                if not connection.poll(TIMEOUT_S):
                    self._end()
                    raise Refusal(400, f"the file took more than {TIMEOUT_S:g} s to read.")
                answer = connection.recv()
            except (EOFError, OSError):
                self._end()
                raise Refusal(
                    400, "the file cannot be read: its reader ran out of memory or failed."
                ) from None
        if answer is not None:
            raise Refusal(400, answer)

    def _started(self) -> Any:
        if self._connection is None or not self._process.is_alive():
            self._end()
            context = multiprocessing.get_context("spawn")
            own, other = context.Pipe()
            self._process = context.Process(target=_serve, args=(other,), daemon=True)
            self._process.start()
            other.close()
            if not own.poll(START_S):
                raise Refusal(503, "the reader of files does not start; try again later.")
            own.recv()
            self._connection = own
        return self._connection

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
        if self._connection is not None:
            self._connection.close()
        self._process = self._connection = None


def _serve(connection: Connection) -> None:
    """Body of the process: answers None, or why a file is refused, until the server is gone."""
    for number in (
        signal.SIGINT,
        signal.SIGTERM,
    ):  # sent to all processes; the server ends this one
        signal.signal(number, signal.SIG_IGN)
    from mugv_jax import video  # slow

    answers = {"picture": _picture, "video": _video}
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(EOFError, OSError):
        connection.send(video.__name__)
        while True:
            name, source, *rest = connection.recv()
            try:
                answers[name](source, *rest)
                connection.send(None)
            except ValueError as error:
                # Its name here is of no use to the client.
                connection.send(str(error).replace(f" {source!r}", "").replace(repr(source), ""))
            except MemoryError:
                connection.send("the file needs too much memory: make it smaller.")


def _picture(source: str, target: str) -> None:
    from PIL import Image

    from mugv_jax import video

    width = height = 0
    with contextlib.suppress(Exception), Image.open(source) as image:  # else its reader says why
        width, height = image.size
    if width * height > MOST_PIXELS:
        raise ValueError(
            f"the picture has {width}x{height} pixels: at most {MOST_PIXELS // 10**6} million are "
            "read; scale it down."
        )
    Image.fromarray(video.read_image(source)).save(target, compress_level=PNG_LEVEL)


def _video(source: str, frames: int, fps: float) -> None:
    from mugv_jax import video

    found = len(video.read_video(source, max_frames=frames, from_end=True, fps=fps).frames)
    if found < frames:
        raise ValueError(
            f"the video has {found} frames at {fps:g} per second, but {frames} are needed: give a "
            "longer one."
        )
