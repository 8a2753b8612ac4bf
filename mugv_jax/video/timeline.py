# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Times and number of a video file's frames, read from its packets without decoding."""

import collections
import itertools
import math
import os
from collections.abc import Iterable
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Int64

from mugv_jax.video.files import explain_video_errors, open_media, video_stream
from mugv_jax.video.times import constant_rate, exact_rate

if TYPE_CHECKING:
    import av.container

# Headers give the length up to a packet or a few frames of delay; no audio packet is longer.
LENGTH_DOUBT_S = 0.25


class Timeline(NamedTuple):
    """The times of a file's frames.

    shown, decoded: sorted times of showing and of decoding, in ticks; empty if packets have none.
    last: duration of the last frame in ticks; 0 if the file does not say.
    tick: one tick of the file's clock, in seconds.
    nominal: frame rates that the file declares.
    stated_s: length by the header of a file that is cut off before it; None for a whole file.
    """

    shown: Int64[np.ndarray, "_f"]
    decoded: Int64[np.ndarray, "_f"]
    last: int
    tick: Fraction
    nominal: list[Fraction]
    stated_s: float | None = None

    def constant_rate(self) -> Fraction | None:
        """The constant rate of all frames; None if the rate varies."""
        if len(self.shown) < 2:
            return next(map(exact_rate, self.nominal), self.average_rate())
        # At the end of a recording, frames to be shown before the last ones may be missing. Times
        # of decoding have no such hole.
        for stamps in (self.shown, self.decoded):
            rate = constant_rate(stamps, self.tick, self.nominal)
            if rate:
                return rate
        return None

    def average_rate(self) -> Fraction | None:
        """Frames per second over the whole length, the last frame included; None without times."""
        count = len(self.shown)
        span = int(self.shown[-1] - self.shown[0]) if count else 0
        if self.last:
            return exact_rate(count / ((span + self.last) * self.tick))
        return exact_rate((count - 1) / (span * self.tick)) if span else None


def read_timeline(path: str | os.PathLike, *, whole: bool = True) -> Timeline:
    """Read the timeline of a video file.

    whole: refuse a file that is cut off.

    Raises:
        ValueError: the file is missing, damaged, cut off or holds no frame of video, or its time
            stamps restart on the way.
    """
    with open_media(path) as container, explain_video_errors(path):
        stream = video_stream(container)
        packets, end_s, broken = _demux(container, stream)
        if not packets:
            raise ValueError(f"video {str(path)!r} holds no frame of video.")
        declared_s = _declared_seconds(container, stream)
        cut_off = broken or end_s + LENGTH_DOUBT_S < declared_s
        if whole and cut_off:
            raise ValueError(f"video {str(path)!r} is damaged: it breaks off after {end_s:.1f} s.")
        # PyAV 19 has its own type of fractions.
        nominal = [Fraction(rate) for rate in (stream.average_rate, stream.guessed_rate) if rate]
        assert stream.time_base is not None
        tick = Fraction(stream.time_base)
    shown, decoded, durations = zip(*packets)
    if None in shown:  # AVI has times of decoding only, which are as even
        shown = decoded
    _check_one_clock(decoded, tick, path)
    last = max(range(len(shown)), key=lambda number: shown[number] or 0)
    stated_s = max(declared_s, end_s) if cut_off else None
    return Timeline(_sorted(shown), _sorted(decoded), durations[last], tick, nominal, stated_s)


def _demux(
    container: "av.container.InputContainer", stream: "av.VideoStream"
) -> tuple[list[tuple[int | None, int | None, int]], float, bool]:
    """(pts, dts, duration) of the frames in ticks; end of the file in s; whether it is cut off."""
    frames = []
    ends = collections.defaultdict(int)  # end of every stream's packets, in its ticks
    broken = False
    for packet in container.demux():
        if not packet.size:  # nothing, or the end of a stream
            continue
        broken = packet.is_corrupt  # true of the last packet if the file is cut off in it
        duration = packet.duration or 0
        stamp = packet.dts if packet.pts is None else packet.pts
        if stamp is not None:
            ends[packet.stream_index] = max(ends[packet.stream_index], stamp + duration)
        if packet.stream_index == stream.index and not packet.is_discard:
            frames.append((packet.pts, packet.dts, duration))
    measured = [stream] if stream.duration else container.streams
    return frames, max(ends[each.index] * float(each.time_base or 0) for each in measured), broken


def _declared_seconds(container: "av.container.InputContainer", stream: "av.VideoStream") -> float:
    """Length in the file's header, of the video if it is given, else of the file; 0 if neither."""
    if container.format.name == "avi":  # its durations are computed from the frames present
        return stream.frames / float(stream.average_rate or math.inf)
    if stream.duration:
        return stream.duration * float(stream.time_base or 0)
    return (container.duration or 0) / 1_000_000


def _check_one_clock(
    decoded: Iterable[int | None], tick: Fraction, path: str | os.PathLike
) -> None:
    stamps = [stamp for stamp in decoded if stamp is not None]
    step = min((after - before for before, after in itertools.pairwise(stamps)), default=0)
    if step * tick < -1:  # smaller steps back are a muxer's inaccuracy
        raise ValueError(
            f"video {str(path)!r} has time stamps that restart on the way: files were "
            "concatenated; join them with a video tool."
        )


def _sorted(stamps: Iterable[int | None]) -> Int64[np.ndarray, "_f"]:
    return np.sort(np.array([stamp for stamp in stamps if stamp is not None], np.int64))
