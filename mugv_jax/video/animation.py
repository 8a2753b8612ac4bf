# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Animated pictures (WebP, GIF, PNG, AVIF) as videos.

Pillow composes their frames, with transparency and colour profiles as in still pictures. For the
readers of videos they are written, without loss, to a temporary file that FFmpeg reads.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from fractions import Fraction
from typing import IO, Any, NamedTuple

import numpy as np
from jaxtyping import UInt8

from mugv_jax.files import existing_file
from mugv_jax.video.kinds import (
    ANIMATED_KINDS,
    PICTURE_KINDS,
    PICTURES,
    kind_of,
)
from mugv_jax.video.pillow_pictures import damage_of, opened_picture, to_rgb

TICK = Fraction(1, 90_000)  # seconds; a whole number of ticks for milliseconds and usual rates
# Browsers and FFmpeg show frames whose duration says "as fast as possible" for a tenth of a second.
UNSTATED_S = Fraction(1, 10)
SHORTEST_OF_GIF_S = Fraction(2, 100)  # shorter ones of GIF are such frames too


class TimedFrame(NamedTuple):
    """One frame of an animation: its time and duration in seconds, and its upright pixels."""

    time_s: Fraction
    duration_s: Fraction
    pixels: UInt8[np.ndarray, "h w 3"]


def is_picture(path: str | os.PathLike) -> bool:
    """Whether a file holds a still picture, by its content; by its suffix if that is unknown."""
    try:
        kind = kind_of(path)
    except OSError:
        kind = None
    if kind is None:
        return os.path.splitext(path)[1].lower() in PICTURES
    return kind in PICTURE_KINDS and not moves(path)


def moves(path: str | os.PathLike) -> bool:
    """Whether a file is a picture of several frames, to be shown one after the other."""
    try:
        if kind_of(path) not in ANIMATED_KINDS:
            return False
        with opened_picture(path) as image:
            return getattr(image, "is_animated", False)
    except (OSError, ValueError):
        return False  # whoever reads the file reports it


def timed_frames(path: str | os.PathLike) -> Iterator[TimedFrame]:
    """The frames of an animated picture, in order, decoded as they are taken.

    All have the size of the picture. The still picture that a PNG may hold beside its animation is
    left out.

    Raises:
        ValueError: the file is missing or damaged. Some damage is found only while the frames are
            taken.
    """
    time_s = Fraction(0)
    with opened_picture(existing_file(path, "video")) as image:
        first = 1 if getattr(image, "default_image", False) else 0
        for number in range(first, getattr(image, "n_frames", 1)):
            with damage_of(path, what="video"):
                image.seek(number)
                image.load()  # WebP and AVIF know the duration of a frame once it is decoded
                pixels = to_rgb(image)
            duration_s = _duration(image.info.get("duration"), image.format)
            yield TimedFrame(time_s, duration_s, pixels)
            time_s += duration_s


def _duration(stated_ms: Any, kind: str | None) -> Fraction:
    """Duration of a frame in seconds, from what Pillow says in milliseconds."""
    duration_s = Fraction(stated_ms or 0).limit_denominator(10**6) / 1000
    shortest = SHORTEST_OF_GIF_S if kind == "GIF" else Fraction(0)
    return UNSTATED_S if duration_s <= 0 or duration_s < shortest else duration_s


@contextlib.contextmanager
def as_video(path: str | os.PathLike) -> Iterator[IO[bytes]]:
    """The animated picture `path` as a temporary video file with the same frames and times.

    Raises:
        ValueError: the file is missing or damaged.
    """
    with tempfile.TemporaryFile() as file:
        _write(file, timed_frames(path))
        file.seek(0)
        yield file


def _write(file: IO[bytes], frames: Iterator[TimedFrame]) -> None:
    """Writes QuickTime's run lengths, which keep RGB exactly, and the duration of every frame."""
    import av

    with av.open(file, "w", format="mov") as container:
        stream = None
        for time_s, duration_s, pixels in frames:
            if stream is None:
                stream = container.add_stream("qtrle")
                stream.height, stream.width = pixels.shape[:2]
                stream.pix_fmt = "rgb24"
                stream.time_base = stream.codec_context.time_base = TICK
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = round(time_s / TICK), TICK
            end = round((time_s + duration_s) / TICK)
            for packet in stream.encode(frame):
                packet.duration = end - frame.pts
                container.mux(packet)
        if stream is not None:
            container.mux(stream.encode())
