# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Reading of video files as uint8 frames: some at once, or one at a time at a constant rate.

A model that regenerates frames needs them evenly spaced. The time stamps of the file's packets,
read without decoding, show whether they are. If not, frames are resampled by their times to the
average rate, so that the video lasts as long as before.
"""

import collections
import contextlib
import itertools
import os
from collections.abc import Generator, Iterable, Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import UInt8

from mugv_jax.video.colour import upright_rgb
from mugv_jax.video.files import explain_video_errors, open_media, video_stream
from mugv_jax.video.frames import Video
from mugv_jax.video.timeline import read_timeline
from mugv_jax.video.times import resample, rounding, timed

if TYPE_CHECKING:
    import av


class FrameStream(NamedTuple):
    """The frames of a video file, at a constant rate.

    fps: frames per second, exact.
    frames: upright frames, decoded as they are taken.
    size: (width, height) of every frame in pixels.
    resampled: a sentence saying that the file's rate varies and what was done; None if the rate is
        constant, in which case every frame comes once.
    """

    fps: Fraction
    frames: Iterator[UInt8[np.ndarray, "h w 3"]]
    size: tuple[int, int]
    resampled: str | None


@contextlib.contextmanager
def open_frames(path: str | os.PathLike) -> Iterator[FrameStream]:
    """Open a video file as a stream of frames, in bounded memory.

    A variable frame rate is resampled to its average: frame k is the one that the file shows at
    k / rate, so that some frames are repeated and others left out.

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
        stream.thread_type = "AUTO"
        shown = container.decode(stream)
        if not constant:
            last = timeline.last * timeline.tick or 1 / rate
            late = rounding(timeline.tick, rate)
            shown = resample(timed(shown, rate), rate, frame_duration=last, late=late)
        resampled = None if constant else _sentence(path, rate)
        with contextlib.closing(_upright(shown, path)) as frames:
            first = next(frames, None)
            if first is None:
                raise ValueError(f"video {str(path)!r} is damaged: no frame can be decoded.")
            height, width = first.shape[:2]
            yield FrameStream(rate, itertools.chain([first], frames), (width, height), resampled)


def _upright(
    shown: Iterable["av.VideoFrame"], path: str | os.PathLike
) -> Generator[UInt8[np.ndarray, "h w 3"], None, None]:
    """Upright pixels of every frame; a repeated frame is converted once."""
    last, pixels, shape = None, None, None
    with explain_video_errors(path):
        for frame in shown:
            if pixels is None or frame is not last:
                last, pixels = frame, upright_rgb(frame)
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
    path: str | os.PathLike, *, max_frames: int | None = None, from_end: bool = False
) -> Video:
    """Read the first (or last) `max_frames` frames of a video file, by default all.

    Frames are rotated upright as the file says, and come as they are stored, whatever their times.
    A file that is cut off gives the frames that it has.

    Raises:
        ValueError: the file is missing, damaged, or holds no frame of video.
    """
    if max_frames is not None and max_frames < 1:
        raise ValueError(f"max_frames={max_frames} must be at least 1.")
    with decoding(path) as (stream, decoded):
        if from_end:
            decoded = collections.deque(decoded, maxlen=max_frames)
        frames = [upright_rgb(frame) for frame in itertools.islice(decoded, max_frames)]
        fps = stream.average_rate or stream.guessed_rate
    if not frames or not fps:
        raise ValueError(
            f"video {str(path)!r} is damaged: {len(frames)} frames can be read, at rate {fps}."
        )
    return Video(np.stack(frames), float(fps))


@contextlib.contextmanager
def decoding(
    path: str | os.PathLike,
) -> Iterator[tuple["av.VideoStream", Iterator["av.VideoFrame"]]]:
    """The first video stream of a file, and its frames in the order in which they are shown.

    Raises:
        ValueError: the file is missing, damaged, or holds no video. Some damage is found only while
            the frames are taken.
    """
    with explain_video_errors(path), open_media(path) as container:
        stream = video_stream(container)
        stream.thread_type = "AUTO"
        yield stream, container.decode(stream)
