# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Transfer of the audio track of one video file into another, packet by packet.

Packets are copied if players know their codec in the new container, and re-encoded as AAC if not.
The track stays in sync with the video. With `start` the time of the first frame in the new file and
`video_start` in the old one,

    time in the new file = time in the old file - video_start + start.

Packets whose time stamps go back or are missing follow the packet before them. If that moves one
further than is noticed, the track is left out. Both are said.
"""

import contextlib
import math
import os
from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

from mugv_jax.video.files import (
    explain_ffmpeg_errors,
    explain_video_errors,
    note_once,
    open_media,
    video_stream,
)

if TYPE_CHECKING:
    import av.container

PCM = {f"pcm_{kind}" for kind in ("s16le", "s16be", "s24le", "s24be", "s32le", "f32le")}
COPIED = {  # container -> codecs that players know in it; the container allows more
    "mp4": {"aac", "mp3", "ac3", "eac3", "alac", "flac", "opus"},
    "mov": {"aac", "mp3", "ac3", "eac3", "alac"} | PCM,
    "matroska": {"aac", "mp2", "mp3", "ac3", "eac3", "dts", "truehd", "alac", "flac", "opus"}
    | PCM
    | {"vorbis"},
}
AAC_RATE_HZ = 48_000  # if AAC does not support the track's own
AAC_BITS_PER_SECOND = 96_000  # per channel, which is generous
AAC_LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 8: "7.1"}
# Times of packets jitter with the container's clock; a hole in the track is longer.
HOLE_S = Fraction(1, 20)
UNNOTICED_S = Fraction(1, 10)  # shift between sound and picture that viewers accept (BT.1359)


class Track(NamedTuple):
    """The first audio stream of a file, after a check that it is undamaged.

    packet: duration of its first packet, in seconds.
    even: whether sample rate, sample format and channels stay the same throughout.
    start, video_start: times at which the audio and the video begin, in seconds.
    """

    path: str | os.PathLike
    container: "av.container.InputContainer"
    stream: "av.AudioStream"
    packet: Fraction
    even: bool
    start: Fraction
    video_start: Fraction

    def frames_ahead(self, rate: Fraction) -> int:
        """Number of frames by which the video must start late because audio precedes it.

        0 if a packet or less precedes it: that is an encoder's delay, which players skip.
        """
        lead = self.video_start - self.start
        return math.ceil(lead * rate) if lead > self.packet else 0


@contextlib.contextmanager
def open_track(path: str | os.PathLike) -> Iterator[Track | None]:
    """Open the audio of a video file; None if it has none that can be kept in sync.

    All of it is decoded once for a check, so that hours of work do not end at a broken packet.

    Raises:
        ValueError: the file is missing or damaged, or its audio is.
    """
    packet, even = _examine(path)
    if packet is None:
        yield None
        return
    video_start = _video_start(path)
    with open_media(path) as container:
        stream = container.streams.audio[0]
        start = (stream.start_time or 0) * Fraction(stream.time_base or 0)
        yield Track(path, container, stream, packet, even, start, video_start)


def _damaged(path: str | os.PathLike) -> str:
    return f"audio of {str(path)!r} is damaged; leave it out, or repair the file"


def _examine(path: str | os.PathLike) -> tuple[Fraction | None, bool]:
    """Decode the audio of a file to find `Track.packet`, None without audio, and `Track.even`."""
    first, moved, broken, placed = None, Fraction(0), False, True
    forms = set()
    with open_media(path) as container, explain_ffmpeg_errors(_damaged(path)):
        if not container.streams.audio:
            return None, True
        stream = container.streams.audio[0]
        if stream.codec_context is None:
            raise ValueError(f"{_damaged(path)}: its codec is unknown.")
        clock = _Clock()
        for packet in container.demux(stream):
            forms |= {(f.format.name, f.layout.name, f.sample_rate) for f in packet.decode()}
            if not packet.size:
                continue
            moved = max(moved, clock.moved(packet))
            broken = packet.is_corrupt  # true of the last packet if the file is cut off in it
            if first is None:
                first = (packet.duration or 0) * Fraction(packet.time_base)
                placed = _stamp(packet) is not None
    if broken:
        raise ValueError(f"{_damaged(path)}: it breaks off.")
    if moved > UNNOTICED_S or not placed:
        note_once(path, "has sound whose time stamps go back or are missing: it is left out.")
        return None, True
    if moved:
        note_once(
            path, "has sound whose time stamps go back: its packets follow each other instead."
        )
    return first, len(forms) < 2


class _Clock:
    """Time stamps of a track's packets, in its ticks, each later than the one before."""

    def __init__(self):
        self._last = self._end = None

    def stamp(self, packet: "av.Packet") -> int:
        """The packet's own stamp, or the end of the packet before it if that is not later."""
        own = _stamp(packet)
        if self._last is not None and (own is None or own <= self._last):
            own = self._end
        self._last = own or 0
        self._end = self._last + max(packet.duration or 0, 1)
        return self._last

    def moved(self, packet: "av.Packet") -> Fraction:
        """How far `stamp` is from the packet's own stamp, in seconds."""
        own, given = _stamp(packet), self.stamp(packet)
        return abs(given - (given if own is None else own)) * Fraction(packet.time_base)


def _video_start(path: str | os.PathLike) -> Fraction:
    with open_media(path) as container, explain_video_errors(path):
        frame = next(container.decode(video_stream(container)), None)
    if frame is None:
        raise ValueError(f"video {str(path)!r} is damaged: no frame can be decoded.")
    return (frame.pts or 0) * Fraction(frame.time_base or 0)


def _stamp(packet: "av.Packet") -> int | None:
    return packet.dts if packet.pts is None else packet.pts


def add_track(
    output: "av.container.OutputContainer", track: Track, start: Fraction
) -> Iterator["av.Packet"]:
    """Add an audio stream to `output`, and return an iterator over the packets to write to it.

    start: time of the first frame in `output`, in seconds.

    Raises:
        ValueError: the audio changes its format on the way and cannot be copied.
    """
    shift = start - track.video_start
    context = track.stream.codec_context
    if context.codec.canonical_name in COPIED[output.format.name]:
        return _copied(track, output.add_stream_from_template(track.stream), shift)
    if not track.even:
        raise ValueError(
            f"audio of {str(track.path)!r} changes its channels or its rate on the way and cannot "
            f"be copied into {output.format.name}: write .mkv, or leave it out."
        )
    stream = output.add_stream("aac")
    encoder = stream.codec_context
    known = context.sample_rate in (encoder.codec.audio_rates or ())
    encoder.sample_rate = context.sample_rate if known else AAC_RATE_HZ
    encoder.layout = AAC_LAYOUTS.get(context.layout.nb_channels, "stereo")
    encoder.bit_rate = AAC_BITS_PER_SECOND * stream.codec_context.layout.nb_channels
    return _encoded(track, stream, shift)


def _copied(track: Track, stream: "av.AudioStream", shift: Fraction) -> Iterator["av.Packet"]:
    clock = _Clock()
    with explain_ffmpeg_errors(_damaged(track.path)):
        for packet in track.container.demux(track.stream):
            if packet.size:
                moved = clock.stamp(packet) + round(shift / Fraction(packet.time_base))
                packet.pts = packet.dts = moved
                packet.stream = stream
                yield packet


def _encoded(track: Track, stream: "av.AudioStream", shift: Fraction) -> Iterator["av.Packet"]:
    """AAC packets of the track; samples follow each other without gaps, except at its holes."""
    due = None
    with explain_ffmpeg_errors(_damaged(track.path)):
        for frame in track.container.decode(track.stream):
            rate = frame.sample_rate
            if frame.pts is not None:
                stamped = round((frame.pts * Fraction(frame.time_base or 0) + shift) * rate)
                due = stamped if due is None or stamped > due + HOLE_S * rate else due
            frame.pts, frame.time_base = due or 0, Fraction(1, rate)
            due = frame.pts + frame.samples
            yield from stream.encode(frame)
        yield from stream.encode(None)
