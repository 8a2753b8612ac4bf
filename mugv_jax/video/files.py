# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Files: clear errors for unreadable input, and output that appears only when it is complete."""

import contextlib
import fcntl
import functools
import glob
import logging
import os
import pathlib
import secrets
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

from mugv_jax import interrupts
from mugv_jax.files import (
    CannotWrite,
    check_writable,
    existing_file,
    folders_above,
    user_path,
)
from mugv_jax.video import animation

if TYPE_CHECKING:
    import av.container

log = logging.getLogger(__name__)

REMEMBERED = 65_536  # notes, so that memory stays bounded over a large data set
PARTIAL = ".partial"
CONTAINERS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska"}
LIBVPX = {"vp8": "libvpx", "vp9": "libvpx-vp9"}  # FFmpeg's codec -> its decoder in libvpx


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
    """Open a video file, or an animated picture, for reading packets and frames.

    Raises:
        ValueError: the file is missing or damaged.
    """
    import av

    path = existing_file(path, "video")
    # PyAV 19 always tolerates metadata that is not UTF-8 and lacks the option.
    tolerant: dict[str, Any] = (
        {} if int(av.__version__.split(".")[0]) >= 19 else {"metadata_errors": "ignore"}
    )
    with contextlib.ExitStack() as opened:
        with explain_video_errors(path):
            moves = animation.moves(path)
            file = opened.enter_context(animation.as_video(path)) if moves else path
            container = opened.enter_context(av.open(file, **tolerant))
        yield container


def video_stream(container: "av.container.InputContainer") -> "av.VideoStream":
    """The first video stream of a file; the cover picture of an audio file does not count.

    Raises:
        ValueError: the file has no video, or one that FFmpeg cannot decode.
    """
    from av.stream import Disposition

    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            if stream.codec_context is None:
                raise ValueError(
                    f"video {container.name!r} has a codec that FFmpeg does not know: save it as "
                    "H.264 with a video tool."
                )
            return stream
    raise ValueError(f"{container.name!r} holds no video.")


def decoded_frames(
    container: "av.container.InputContainer", stream: "av.VideoStream"
) -> Iterator["av.VideoFrame"]:
    """The frames of a video stream in the order in which they are shown, decoded as they are taken.

    FFmpeg's own decoders of VP8 and VP9 leave out the transparency that WebM keeps beside the
    pictures; those of libvpx do not.
    """
    from av.codec import CodecContext

    context = stream.codec_context
    if not context.is_open:  # it is, after a seek
        stream.thread_type = "AUTO"
    if context.name not in LIBVPX or stream.metadata.get("alpha_mode") != "1":
        yield from container.decode(stream)
        return
    decoder: Any = CodecContext.create(LIBVPX[context.name], "r")
    decoder.thread_type = "AUTO"
    for tag in ("colorspace", "color_range", "color_primaries", "color_trc"):
        setattr(decoder, tag, getattr(context, tag))
    for packet in container.demux(stream):
        yield from decoder.decode(packet)


def prepare_output(
    path: str | os.PathLike, suffixes: Collection[str] = tuple(CONTAINERS)
) -> pathlib.Path:
    """Check, before any long work, that `path` ends in one of `suffixes` and can be written.

    Folders are made when the file is (`completed`), so that a failure before leaves none.

    Raises:
        ValueError: an unknown suffix, `path` is a folder, or its folder cannot be written to.
    """
    path = user_path(path)
    if path.suffix.lower() not in suffixes:
        raise ValueError(f"output {str(path)!r} must end in {', '.join(suffixes)}.")
    if path.is_dir():
        raise ValueError(f"output {str(path)!r} is a folder: name a file in it.")
    if path.exists() and not path.is_file():
        raise ValueError(f"output {str(path)!r} is a pipe or device: name a file.")
    check_writable(path)
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
    remove = functools.partial(partial.unlink, missing_ok=True)
    with folders_above(path), interrupts.cleanup(remove):
        for stale in path.parent.glob(f".{glob.escape(path.name)}.*{PARTIAL}"):
            _remove_stale(stale)
        with partial.open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # until the process ends; FFmpeg writes the same file
            try:
                yield partial
            except OSError as error:
                if str(error.filename) != os.fspath(partial):
                    raise
                raise CannotWrite(  # the temporary name tells a user nothing
                    f"output {os.fspath(path)!r} cannot be written: {error.strerror}."
                ) from error
            partial.replace(path)


def _remove_stale(partial: pathlib.Path) -> None:
    with contextlib.suppress(OSError), partial.open("rb") as lock:  # BlockingIOError: it is in use
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        partial.unlink()


@functools.lru_cache(maxsize=REMEMBERED)
def _note(text: str) -> None:
    log.warning("%s", text)


def note_once(path: str | os.PathLike, text: str) -> None:
    """Log `text` about the file `path`, once in a process however often it is read."""
    _note(f"{str(path)!r} {text}")
