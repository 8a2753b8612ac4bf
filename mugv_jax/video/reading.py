# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Reading of video files as uint8 frames: some at once, or one at a time at a constant rate.

A model needs frames evenly spaced. The time stamps of the file's packets, read without decoding,
show whether they are. If not, or if another rate is asked for, frames are taken by their times, so
that the video lasts as long as before. Where a file is not read as it is, a note is logged.
"""

import collections
import contextlib
import itertools
import os
from collections.abc import Callable, Generator, Iterable, Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import UInt8

from mugv_jax.video.colour import HDR_NAMES, MAX_PIXELS, square_size, upright_rgb
from mugv_jax.video.files import (
    decoded_frames,
    explain_video_errors,
    note_once,
    open_media,
    video_stream,
)
from mugv_jax.video.frames import Video
from mugv_jax.video.hdr import PEAK_NITS, WHITE_NITS
from mugv_jax.video.orientation import orientation
from mugv_jax.video.spans import span
from mugv_jax.video.timeline import read_timeline
from mugv_jax.video.times import exact_rate, resample, resample_back, rounding, same_rate, timed

if TYPE_CHECKING:
    import av

# FFmpeg's names of containers. It opens many files more, such as text, whose lines it paints.
VIDEO_FORMATS = {"mov", "mp4", "matroska", "webm", "avi", "mpegts", "mpeg", "flv", "asf", "ogg",
                 "h264", "hevc", "m4v", "ivf", "mxf", "nut", "gif", "apng"}  # fmt: skip
Rgb = UInt8[np.ndarray, "h w 3"]


class FrameStream(NamedTuple):
    """The frames of a video file, at a constant rate.

    fps: frames per second, exact.
    frames: upright frames, decoded as they are taken.
    size: (width, height) of every frame in pixels.
    resampled: a sentence saying that the file's rate varies and what was done; None if the rate is
        constant, in which case every frame comes once.
    pixel_aspect: width of a pixel of these frames, divided by its height.
    """

    fps: Fraction
    frames: Iterator[Rgb]
    size: tuple[int, int]
    resampled: str | None
    pixel_aspect: Fraction


class Decoding(NamedTuple):
    """The video of an open file.

    stream: the first video stream.
    frames: its frames as decoded, in the order in which they are shown.
    rgb: pixels of a frame: upright SDR with square pixels.
    """

    stream: "av.VideoStream"
    frames: Iterator["av.VideoFrame"]
    rgb: Callable[["av.VideoFrame"], Rgb]


@contextlib.contextmanager
def open_frames(path: str | os.PathLike) -> Iterator[FrameStream]:
    """Open a video file as a stream of frames, in bounded memory.

    A variable frame rate is resampled to its average: frame k is the one that the file shows at
    k / rate, so that some frames are repeated and others left out. Pixels that are not square stay
    as they are, for a writer that keeps them.

    Raises:
        ValueError: the file is missing, damaged, cut off, holds no frame of video or no rate. Some
            damage is found only while the frames are taken.
    """
    timeline = read_timeline(path)
    constant = timeline.constant_rate()
    rate = constant or timeline.average_rate()
    if not rate:
        raise ValueError(f"video {str(path)!r} does not state its frame rate.")
    with open_media(path) as container:
        stream = video_stream(container)
        decoded = decoded_frames(container, stream)
        with explain_video_errors(path):
            start = next(decoded, None)
        if start is None:
            raise ValueError(f"video {str(path)!r} is damaged: no frame can be decoded.")
        aspect = _pixel_aspect(stream, path)
        if orientation(start).transposed:
            aspect = 1 / aspect
        shown = itertools.chain([start], decoded)
        if not constant:
            last = timeline.last * timeline.tick or 1 / rate
            late = rounding(timeline.tick, rate)
            shown = resample(timed(shown, rate), rate, frame_duration=last, late=late)
        resampled = None if constant else _sentence(path, rate)
        with contextlib.closing(_of_one_size(shown, _converter(path), path)) as frames:
            first = next(frames)
            height, width = first.shape[:2]
            whole = itertools.chain([first], frames)
            yield FrameStream(rate, whole, (width, height), resampled, aspect)


def _of_one_size(
    shown: Iterable["av.VideoFrame"], rgb: Callable[["av.VideoFrame"], Rgb], path: str | os.PathLike
) -> Generator[Rgb, None, None]:
    """Pixels of every frame; a repeated frame is converted once."""
    last, pixels, shape = None, None, None
    with explain_video_errors(path):
        for frame in shown:
            if pixels is None or frame is not last:
                last, pixels = frame, rgb(frame)
            shape = shape or pixels.shape
            if pixels.shape != shape:
                raise ValueError(
                    f"video {str(path)!r} changes its size from {shape[1]}x{shape[0]} to "
                    f"{pixels.shape[1]}x{pixels.shape[0]} pixels: cut it there."
                )
            yield pixels


def _sentence(path: str | os.PathLike, rate: Fraction) -> str:
    return (
        f"video {str(path)!r} has a variable frame rate: its frames are taken by their times at "
        f"the average, {float(rate):.5g} per second, so some are shown twice or left out."
    )


def read_video(
    path: str | os.PathLike,
    *,
    max_frames: int | None = None,
    from_end: bool = False,
    fps: float | None = None,
) -> Video:
    """Read the first (or last) `max_frames` frames of a video file, by default all.

    Frames are upright SDR with square pixels. A file that is cut off gives the frames that it has.

    fps: take the frames that the file shows at this rate, counted from its first frame (or back
        from its last); None takes all frames as they are stored, whatever their times.

    Raises:
        ValueError: the file is missing, damaged, or holds no frame of video or no rate.
    """
    if max_frames is not None and max_frames < 1:
        raise ValueError(f"max_frames={max_frames} must be at least 1.")
    take = None if fps is None else _taking(path, exact_rate(fps), max_frames, from_end=from_end)
    with decoding(path) as (stream, decoded, rgb):
        if take is not None:
            decoded = take(decoded)
        elif from_end:
            decoded = collections.deque(decoded, maxlen=max_frames)
        chosen = itertools.islice(decoded, max_frames)
        frames = list(_of_one_size(chosen, rgb, path))
        rate = fps or stream.average_rate or stream.guessed_rate
    if not frames or not rate:
        raise ValueError(
            f"video {str(path)!r} is damaged: {len(frames)} frames can be read, at rate {rate}."
        )
    return Video(np.stack(frames), float(rate))


def _taking(
    path: str | os.PathLike, rate: Fraction, count: int | None, *, from_end: bool
) -> Callable[[Iterable["av.VideoFrame"]], Iterable["av.VideoFrame"]] | None:
    """Choice of the frames that a file shows at `rate`; None if it has that rate itself.

    Raises:
        ValueError: the file is missing, damaged, or holds no frame of video or no rate.
    """
    timeline = read_timeline(path, whole=False)
    constant = timeline.constant_rate()
    native = constant or timeline.average_rate()
    if len(timeline.shown) == 1:
        return None
    if not native:
        raise ValueError(f"video {str(path)!r} does not state its frame rate.")
    if constant and same_rate(constant, rate):
        return None
    has = f"{float(native):.5g} frames per second" if constant else "a variable frame rate"
    note_once(
        path,
        f"has {has}: its frames are taken by their times at {float(rate):.5g} per second, the rate "
        "asked for, so some are left out or shown twice.",
    )
    last = timeline.last * timeline.tick or 1 / native
    late = rounding(timeline.tick, native)

    def take(decoded: Iterable["av.VideoFrame"]) -> Iterable["av.VideoFrame"]:
        if from_end and count:
            return resample_back(timed(decoded, native), rate, count, late=late)
        return resample(timed(decoded, native), rate, frame_duration=last, late=late)

    return take


@contextlib.contextmanager
def decoding(
    path: str | os.PathLike, *, start_s: float = 0.0, end_s: float | None = None
) -> Iterator[Decoding]:
    """The first video stream of a file, its frames, and their conversion to pixels.

    start_s, end_s: part of the video, in seconds after its first frame; by default all of it.

    Raises:
        ValueError: the file is missing, damaged, or holds no video. Some damage is found only while
            the frames are taken.
    """
    with explain_video_errors(path), open_media(path) as container:
        stream = video_stream(container)
        rgb = _converter(path, _pixel_aspect(stream, path))
        yield Decoding(stream, span(container, stream, start_s, end_s), rgb)


def only_frame(path: str | os.PathLike) -> Rgb | None:
    """The frame of a video that has one, as `read_video` reads it; None for what is no video.

    Raises:
        ValueError: several frames, a damaged one, or several pictures to choose from.
    """
    try:
        with open_media(path) as container:
            named, streams = container.format.name, len(container.streams.video)
    except ValueError:
        return None
    if not streams or not VIDEO_FORMATS & set(named.split(",")):
        return None
    with decoding(path) as (_, decoded, rgb), explain_video_errors(path):
        frames = list(itertools.islice(decoded, 2))
        if streams > 1 or len(frames) > 1:
            raise ValueError(
                f"image {str(path)!r} is a video with several "
                f"{'frames' if len(frames) > 1 else 'tracks of pictures'}: save the one to use as "
                "a picture."
            )
        if not frames:
            raise ValueError(f"image {str(path)!r} is a video without frames.")
        return rgb(frames[0])


def hdr_picture(path: str | os.PathLike) -> Rgb | None:
    """A picture file with an HDR transfer, mapped to SDR; None for others, and what FFmpeg refuses.

    Raises:
        ValueError: an HDR picture that consists of several, such as tiles or a mask.
    """
    try:
        with decoding(path) as (stream, decoded, rgb):
            frame = next(decoded, None)
            parts = len(stream.container.streams.video)
            pixels = rgb(frame) if frame is not None and frame.color_trc in HDR_NAMES else None
    except ValueError:
        return None
    if pixels is not None and parts > 1:
        raise ValueError(
            f"image {str(path)!r} is HDR and consists of several pictures, which are not put "
            "together: save it as one SDR picture."
        )
    return pixels


def _pixel_aspect(stream: "av.VideoStream", path: str | os.PathLike) -> Fraction:
    """Width of a pixel as stored, divided by its height; 1 if the file does not say.

    Raises:
        ValueError: square pixels would make a picture too large to read.
    """
    aspect = Fraction(stream.sample_aspect_ratio or 1)
    width, height = square_size(stream.width, stream.height, aspect)
    if width * height > MAX_PIXELS:
        raise ValueError(
            f"video {str(path)!r} has pixels of aspect {aspect.numerator}:{aspect.denominator}: "
            f"square ones would make {width}x{height}, more than {MAX_PIXELS / 1e6:.0f} million; "
            "correct the aspect with a video tool."
        )
    return aspect


def _converter(
    path: str | os.PathLike, pixel_aspect: Fraction | None = None
) -> Callable[["av.VideoFrame"], Rgb]:
    """`upright_rgb` for the frames of a file, with a note on HDR and the file's name in errors."""

    def rgb(frame: "av.VideoFrame") -> Rgb:
        if frame.color_trc in HDR_NAMES:
            note_once(
                path,
                f"is HDR ({HDR_NAMES[frame.color_trc]}): it is mapped to SDR (BT.709) by the curve "
                f"of BT.2390, from {PEAK_NITS:g} to {WHITE_NITS:g} nits.",
            )
        try:
            return upright_rgb(frame, pixel_aspect=pixel_aspect)
        except ValueError as error:
            raise ValueError(f"video {str(path)!r} cannot be converted: {error}") from error

    return rgb
