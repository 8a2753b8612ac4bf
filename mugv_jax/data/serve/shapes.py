# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Shape of a sample's latent before it is encoded, from its file's times and first frame."""

from collections.abc import Iterable
from fractions import Fraction

from mugv_jax import video
from mugv_jax.data.bad_sample import BadSample
from mugv_jax.data.captions import Captioned
from mugv_jax.data.clips import ClipRule, clip_length, fitted_size, no_frame
from mugv_jax.systems.mugv.size import STRIDE
from mugv_jax.video.reading import decoding
from mugv_jax.video.timeline import read_timeline


def sample_shape(entry: Captioned, rule: ClipRule) -> tuple[tuple[int, int, int], float]:
    """((f, h, w) of the latent, frames per second) that encoding `entry` gives.

    Raises:
        BadSample: the file is missing or damaged, or too short.
    """
    try:
        count, rate, (width, height) = _clip(entry, rule)
    except (ValueError, OSError) as error:
        raise BadSample(str(error)) from error
    return ((count - 1) // rule.stride + 1, height // STRIDE, width // STRIDE), rate


def _clip(entry: Captioned, rule: ClipRule) -> tuple[int, float, tuple[int, int]]:
    """Frames, frames per second, and (width, height) of a clip."""
    fps = rule.fps if entry.fps is None else entry.fps
    if video.is_picture(entry.path):
        frame = entry.part.cropped(video.read_image(entry.path))
        return 1, float(fps), fitted_size(frame, rule)
    part = entry.part
    with decoding(entry.path, start_s=part.start_s, end_s=part.end_s) as (stream, frames, rgb):
        first = next(frames, None)
        if first is None:
            raise no_frame(entry.path, part)
        size = fitted_size(part.cropped(rgb(first)), rule)
        declared = stream.average_rate or stream.guessed_rate
        tick, total = Fraction(stream.time_base or 0), stream.frames
    if not declared:
        raise ValueError(f"video {str(entry.path)!r} does not tell its frame rate.")
    source_rate = Fraction(declared)
    times = _times(entry, tick)
    if len(times) == 1 and total < 2:
        return 1, float(fps), size
    rate = min(video.exact_rate(fps), source_rate)
    shown = video.resample(
        ((time, None) for time in times),
        rate,
        frame_duration=1 / source_rate,
        late=video.rounding(tick, source_rate),
    )
    count = clip_length(_count(shown, rule.max_frames), rule, entry.path, rate, part)
    return count, float(rate), size


def _times(entry: Captioned, tick: Fraction) -> list[Fraction]:
    """Times of the frames of an entry's part, in seconds."""
    part, half = entry.part, tick / 2
    stamps = [int(stamp) * tick for stamp in read_timeline(entry.path, whole=False).shown]
    end = None if part.end_s is None else Fraction(part.end_s)
    return [
        time
        for time in stamps
        if time - stamps[0] + half > part.start_s and (end is None or time - stamps[0] + half < end)
    ]


def _count(items: Iterable, most: int) -> int:
    """Number of items, up to `most`."""
    count = 0
    for _ in items:
        count += 1
        if count == most:
            break
    return count
