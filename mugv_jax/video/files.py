# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Files: clear errors for unreadable input, and output that appears only when it is complete."""

import contextlib
import fcntl
import functools
import glob
import os
import pathlib
import secrets
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

from mugv_jax import interrupts

if TYPE_CHECKING:
    import av.container

PARTIAL = ".partial"
CONTAINERS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska"}


def existing_file(path: str | os.PathLike, what: str) -> pathlib.Path:
    """`path`, after a check that the file exists.

    what: what to call the file in the error.

    Raises:
        ValueError: there is no such file.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        reason = "is a folder" if path.is_dir() else "does not exist"
        raise ValueError(f"{what} {str(path)!r} {reason}.")
    return path


@contextlib.contextmanager
def explain_ffmpeg_errors(message: str) -> Iterator[None]:
    """Turn errors of FFmpeg into a ValueError with `message` and FFmpeg's reason."""
    from av import FFmpegError

    try:
        yield
    except FFmpegError as error:
        raise ValueError(f"{message}: {error.strerror}.") from error


def explain_video_errors(path: str | os.PathLike) -> contextlib.AbstractContextManager[None]:
    """`explain_ffmpeg_errors` for reading the video `path`."""
    return explain_ffmpeg_errors(f"video {str(path)!r} is damaged or no video")


@contextlib.contextmanager
def open_media(path: str | os.PathLike) -> Iterator["av.container.InputContainer"]:
    """Open a video file for reading packets and frames.

    Raises:
        ValueError: the file is missing or damaged.
    """
    import av

    path = existing_file(path, "video")
    # PyAV 19 always tolerates metadata that is not UTF-8 and lacks the option.
    tolerant: dict[str, Any] = (
        {} if int(av.__version__.split(".")[0]) >= 19 else {"metadata_errors": "ignore"}
    )
    with explain_video_errors(path):
        container = av.open(path, **tolerant)
    with container:
        yield container


def video_stream(container: "av.container.InputContainer") -> "av.VideoStream":
    """The first video stream of a file; the cover picture of an audio file does not count.

    Raises:
        ValueError: the file has no video.
    """
    from av.stream import Disposition

    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            return stream
    raise ValueError(f"{container.name!r} holds no video.")


def prepare_output(
    path: str | os.PathLike, suffixes: Collection[str] = tuple(CONTAINERS)
) -> pathlib.Path:
    """Check, before any long work, that `path` ends in one of `suffixes` and can be written.

    A missing folder is created.

    Raises:
        ValueError: an unknown suffix, `path` is a folder, or its folder cannot be written to.
    """
    path = pathlib.Path(path)
    if path.suffix.lower() not in suffixes:
        raise ValueError(f"output {str(path)!r} must end in {', '.join(suffixes)}.")
    if path.is_dir():
        raise ValueError(f"output {str(path)!r} is a folder: name a file in it.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        probe = _partial_name(path)
        with interrupts.cleanup(functools.partial(probe.unlink, missing_ok=True)):
            probe.touch()
    except OSError as error:
        raise ValueError(f"output {str(path)!r} cannot be written: {error.strerror}.") from error
    return path


def _partial_name(path: pathlib.Path) -> pathlib.Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}{PARTIAL}")


@contextlib.contextmanager
def completed(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A temporary file to write, renamed to `path` when the block ends without an error.

    After a failure, an earlier file at `path` is unchanged. A temporary file that a killed process
    left is removed when the next one writes the same path.
    """
    partial = _partial_name(path)
    with interrupts.cleanup(functools.partial(partial.unlink, missing_ok=True)):
        for stale in path.parent.glob(f".{glob.escape(path.name)}.*{PARTIAL}"):
            _remove_stale(stale)
        with partial.open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # until the process ends; FFmpeg writes the same file
            yield partial
            partial.replace(path)


def _remove_stale(partial: pathlib.Path) -> None:
    with contextlib.suppress(OSError), partial.open("rb") as lock:  # BlockingIOError: it is in use
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        partial.unlink()
