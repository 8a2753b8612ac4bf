# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Copies of videos and pictures that browsers show and that tell nothing of their origin.

Tags, sound and names are left behind. Pictures of H.264, VP8, VP9 and AV1 in 8 bits and 4:2:0 are
copied without change; others, turned ones, and parts of videos are encoded anew as H.264.
"""

import dataclasses
import itertools
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from mugv_jax import video
from mugv_jax.axes import Frames
from mugv_jax.video.colour import HDR_NAMES
from mugv_jax.video.files import (
    decoded_frames,
    explain_video_errors,
    open_media,
    video_stream,
)
from mugv_jax.video.orientation import Orientation, orientation

if TYPE_CHECKING:
    import av

log = logging.getLogger(__name__)

# FFmpeg's codec -> suffix of the copy.
COPIED = {"h264": ".mp4", "av1": ".mp4", "libdav1d": ".mp4", "vp8": ".webm", "vp9": ".webm"}
PLAYED = ("yuv420p", "yuvj420p")  # pixel formats that all browsers decode
FORMATS = {".mp4": "mp4", ".webm": "webm"}
CRF = 12  # finer than eyes see at normal size
LONGEST_PX = 1280  # of a picture
QUALITY = 92


@dataclasses.dataclass(frozen=True)
class Playable:
    """A video that was copied.

    encoded: whether its pictures were encoded anew.
    """

    file: str
    fps: float
    width: int
    height: int
    encoded: bool


def copy_video(
    path: str | os.PathLike,
    folder: Path,
    name: str,
    *,
    start_s: float = 0.0,
    end_s: float | None = None,
) -> Playable:
    """Writes a copy of a video, or of a part of it, to `folder`.

    name: of the file, without suffix.
    start_s, end_s: part of the video, in seconds after its first frame.

    Raises:
        ValueError: the file cannot be read as a video, or the part has no frame.
    """
    whole = not start_s and end_s is None
    with explain_video_errors(path), open_media(path) as container:
        stream = video_stream(container)
        rate = float(stream.average_rate or stream.guessed_rate or 0)
        first = next(decoded_frames(container, stream), None)
        if first is None or not rate:
            raise ValueError(f"video {str(path)!r} is damaged: no frame or no rate can be read.")
        copied = whole and _plays(stream, first)
    if copied:
        with explain_video_errors(path):
            file = _remuxed(path, folder, name)
        return Playable(file, rate, first.width, first.height, encoded=False)
    frames = _frames(path, start_s, end_s)
    head = next(frames, None)
    if head is None:
        raise ValueError(f"video {str(path)!r} has no frame from {start_s:g} s to {end_s} s.")
    height, width = head.shape[1:3]
    target = folder / f"{name}.mp4"
    video.write_video(target, itertools.chain([head], frames), video.exact_rate(rate), crf=CRF)
    return Playable(target.name, rate, width, height, encoded=True)


def copy_picture(path: str | os.PathLike, folder: Path, name: str) -> str:
    """Writes a copy of a picture, at most LONGEST_PX long, to `folder`; returns its name.

    Raises:
        ValueError: no picture.
    """
    image = Image.fromarray(video.read_image(path))
    image.thumbnail((LONGEST_PX, LONGEST_PX))
    file = f"{name}.jpg"
    image.save(folder / file, quality=QUALITY)
    return file


def _plays(stream: "av.VideoStream", first: "av.VideoFrame") -> bool:
    """Whether all browsers show the stored pictures as they are."""
    aspect = stream.sample_aspect_ratio
    return (
        stream.codec_context.name in COPIED
        and first.format.name in PLAYED
        and orientation(first) == Orientation()
        and first.color_trc not in HDR_NAMES
        and (not aspect or aspect == 1)
    )


def _remuxed(path: str | os.PathLike, folder: Path, name: str) -> str:
    """Copies the video's packets into a new file, without any tags."""
    import av

    with open_media(path) as source:
        stream = video_stream(source)
        suffix = COPIED[stream.codec_context.name]
        # The index at the beginning lets a player begin and seek before it has the whole file.
        options = {"movflags": "faststart"} if suffix == ".mp4" else {}
        target = folder / f"{name}{suffix}"
        with av.open(target, "w", format=FORMATS[suffix], options=options) as made:
            copy = made.add_stream_from_template(stream)
            copy.metadata.clear()
            for packet in source.demux(stream):
                if packet.dts is not None:  # else the end of the stream
                    packet.stream = copy
                    made.mux(packet)
    return target.name


def _frames(path: str | os.PathLike, start_s: float, end_s: float | None) -> Iterator[Frames]:
    """Upright frames of a part of a video, one at a time, each (1, h, w, 3)."""
    with video.decoding(path, start_s=start_s, end_s=end_s) as (_, decoded, rgb):
        for frame in decoded:
            yield np.asarray(rgb(frame))[None]
