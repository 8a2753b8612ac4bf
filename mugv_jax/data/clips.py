# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Reading of the frames that a training sample is encoded from, out of video and picture files.

Frames are chosen by their times, not by their number: output frame k shows what the video shows at
k / fps, which is the last frame whose time is not after it. A video with a lower rate than asked
for is read at its own rate, because repeated frames would teach the model to stand still. The rate
that was used is part of the sample, and the model is conditioned on it.
"""

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from mugv_jax import video
from mugv_jax.axes import Frames
from mugv_jax.data.bad_sample import BadSample
from mugv_jax.data.captions import MAX_FPS
from mugv_jax.data.fields import DEFAULT_FPS
from mugv_jax.data.part import WHOLE, Part
from mugv_jax.systems.mugv.size import FRAMES, LONGEST, MAX_SIDE_PX, STRIDE
from mugv_jax.video.timeline import read_timeline

GRID_PX = 2 * STRIDE  # one token covers two latents in each direction


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClipRule:
    """The frames that are taken from a file.

    fps: rate at which videos are read; slower videos are read at their own rate.
    size: (width, height) in pixels that all frames are scaled and cropped to.
    pixels: alternative to `size`: frames keep their aspect ratio, on a grid of 16 pixels, with at
        most this many pixels and no more than the file has.
    max_frames: longest clip.
    stride: frames of a latent; a clip is the longest stride k + 1 frames from the start of the
        video.

    Raises:
        ValueError: values out of range, or not exactly one of `size` and `pixels`.
    """

    fps: float = DEFAULT_FPS
    size: tuple[int, int] | None = None
    pixels: int | None = None
    max_frames: int = FRAMES["5s"]
    stride: int = STRIDE

    def __post_init__(self):
        if not 0 < self.fps <= MAX_FPS:
            raise ValueError(f"fps={self.fps} must lie above 0 and up to {MAX_FPS}.")
        if (self.size is None) == (self.pixels is None):
            raise ValueError("give one of size and pixels: they say how large frames become.")
        if self.pixels is not None and self.pixels < GRID_PX**2:
            raise ValueError(f"pixels={self.pixels} must be at least {GRID_PX**2}, one token.")
        for side in self.size or ():
            if not GRID_PX <= side <= MAX_SIDE_PX or side % GRID_PX:
                raise ValueError(
                    f"size={self.size} must have sides that are multiples of {GRID_PX} (one token) "
                    f"up to {MAX_SIDE_PX} pixels."
                )
        if not 1 <= self.max_frames <= LONGEST:
            raise ValueError(f"max_frames={self.max_frames} must lie in 1 to {LONGEST}.")


def read_clip(
    path: Path, rule: ClipRule, fps: float | None = None, part: Part = WHOLE
) -> video.Video:
    """The frames of one sample, and their rate.

    A still picture, which is recognised by its content, has one frame. So has a video of one frame.

    fps: replaces the rate of the rule.
    part: the part of a video to read; a picture can be cropped only.

    Raises:
        BadSample: the file is missing or damaged, or a video of fewer than stride + 1
            frames.
    """
    fps = rule.fps if fps is None else fps
    try:
        if video.is_picture(path):
            frame = part.cropped(video.read_image(path))
            return video.Video(_fit(frame, rule)[None], float(fps))
        return _read_video(path, rule, fps, part)
    except (ValueError, OSError) as error:
        raise BadSample(str(error)) from error


def _read_video(path: Path, rule: ClipRule, fps: float, part: Part) -> video.Video:
    with video.decoding(path, start_s=part.start_s, end_s=part.end_s) as (stream, decoded, convert):

        def rgb(frame: Any) -> np.ndarray:
            return part.cropped(convert(frame))

        start = list(itertools.islice(decoded, 2))
        if not start:
            raise no_frame(path, part)
        if len(start) == 1 and stream.frames < 2:  # and not the rest of a video that is cut off
            return video.Video(np.stack(list(_fitted(start, rgb, rule))), float(fps))
        source_rate = stream.average_rate or stream.guessed_rate
        if not source_rate:
            raise ValueError(f"video {str(path)!r} does not tell its frame rate.")
        source_rate = Fraction(source_rate)  # newer PyAV has its own rationals
        rate = min(video.exact_rate(fps), source_rate)
        shown = video.resample(
            video.timed(itertools.chain(start, decoded), source_rate),
            rate,
            frame_duration=1 / source_rate,
            late=video.rounding(stream.time_base, source_rate),
        )
        frames = list(_fitted(itertools.islice(shown, rule.max_frames), rgb, rule))
    count = clip_length(len(frames), rule, path, rate, part)
    return video.Video(np.stack(frames[:count]), float(rate))


def no_frame(path: Path, part: Part) -> ValueError:
    """The error of a video that shows nothing in a part, or at all."""
    if not part.is_span:
        return ValueError(f"video {str(path)!r} is damaged: no frame can be decoded.")
    timeline = read_timeline(path, whole=False)
    span = int(timeline.shown[-1] - timeline.shown[0]) if len(timeline.shown) else 0
    seconds = float((span + timeline.last) * timeline.tick)
    return ValueError(f"video {str(path)!r} has no frame in {part}: it lasts {seconds:.2f} s.")


def clip_length(frames: int, rule: ClipRule, path: Path, rate: Fraction, part: Part) -> int:
    """Frames of a clip, the largest stride k + 1 of those that there are.

    path, rate, part: of the video, for the message.

    Raises:
        ValueError: fewer than a clip needs.
    """
    least = rule.stride + 1  # a video's first frame and one group
    if frames < min(least, rule.max_frames):
        raise ValueError(
            f"video {str(path)!r} has {frames} frames at {float(rate):g} per second"
            f"{f' in {part}' if part.is_span else ''}; at least "
            f"{least} are needed."
        )
    return (frames - 1) // rule.stride * rule.stride + 1


def fit_size(width: int, height: int, pixels: int) -> tuple[int, int]:
    """(width, height) on the grid that best keeps the aspect ratio.

    It has at most `pixels` pixels, and no more than the file has.
    """
    pixels = min(pixels, width * height)
    scale = math.sqrt(pixels / (width * height))
    longest = min(MAX_SIDE_PX, pixels // GRID_PX // GRID_PX * GRID_PX)

    def nearest(side: int) -> set[int]:
        low = int(side * scale) // GRID_PX * GRID_PX
        return {min(max(low + step, GRID_PX), longest) for step in (0, GRID_PX)}

    def misfit(size: tuple[int, int]) -> tuple[bool, float, int]:
        w, h = size
        return w * h > pixels, abs(math.log(w * height / (h * width))), -w * h

    return min(itertools.product(nearest(width), nearest(height)), key=misfit)


def _fitted(
    shown: Iterable, rgb: Callable[..., np.ndarray], rule: ClipRule
) -> Iterator[np.ndarray]:
    """The scaled and cropped pixels of every frame; a repeated frame is converted once."""
    last, pixels = None, None
    for frame in shown:
        if pixels is None or frame is not last:
            last, pixels = frame, _fit(rgb(frame), rule)
        yield pixels


def _fit(frame: Frames, rule: ClipRule) -> Frames:
    """A frame scaled and cropped as the rule says."""
    width, height = fitted_size(frame, rule)
    return video.fit(frame, height, width)


def fitted_size(frame: Frames, rule: ClipRule) -> tuple[int, int]:
    """(width, height) of a frame after scaling and cropping.

    Raises:
        ValueError: the frame is too small.
    """
    height, width = frame.shape[:2]
    if rule.size is not None:
        return rule.size
    if min(height, width) < GRID_PX:
        raise ValueError(f"a frame of {width}x{height} pixels is below {GRID_PX} on a side.")
    return (width, height) if rule.pixels is None else fit_size(width, height, rule.pixels)
