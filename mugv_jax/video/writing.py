# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Writing of frames to H.264 files: yuv420p with BT.709 matrix and limited range, tagged as such.

This pixel format has even sizes only: the last row or column of an odd size is repeated. A file
appears under its name only when it is complete; until then, and after a failure, an earlier file of
that name is unchanged.
"""

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from mugv_jax.axes import Frames
from mugv_jax.video import sound
from mugv_jax.video.colour import to_yuv
from mugv_jax.video.files import CONTAINERS, completed, prepare_output
from mugv_jax.video.records import tags_of
from mugv_jax.video.times import exact_rate

if TYPE_CHECKING:
    import av.container

CRF = 17  # x264's constant rate factor, as published


def write_video(
    path: str | os.PathLike,
    frames: Frames | Iterable[Frames],
    fps: float | Fraction,
    *,
    crf: int = CRF,
    record: Mapping[str, Any] | None = None,
) -> None:
    """Write frames to a file; see `writing`.

    frames: (f, h, w, 3) uint8, or an iterable of chunks of that shape, so that a long video need
        not be in memory.

    Raises:
        ValueError: as `writing`.
    """
    with writing(path, fps, crf=crf, record=record) as write:
        for chunk in [frames] if isinstance(frames, np.ndarray) else frames:
            write(chunk)


def check_rate(fps: float | Fraction) -> None:
    """Raise a ValueError for a rate that players do not show."""
    if not 1 <= fps <= 1000:
        raise ValueError(f"fps={float(fps):.5g} must lie in 1 to 1000 to be written.")


@contextlib.contextmanager
def writing(
    path: str | os.PathLike,
    fps: float | Fraction,
    *,
    crf: int = CRF,
    audio_from: str | os.PathLike | None = None,
    pixel_aspect: Fraction = Fraction(1),
    record: Mapping[str, Any] | None = None,
) -> Iterator[Callable[[Frames], None]]:
    """Open the video file `path`; gives a function that appends chunks, (f, h, w, 3) uint8.

    crf: x264's constant rate factor, 0 (lossless but for colour) to 51.
    audio_from: a video file whose first audio track, if it has one, is added in sync with the
        frames, including what comes before the first frame or after the last.
    pixel_aspect: width of a pixel as players show it, divided by its height.
    record: how the video was made, kept in the file's tags (`records.py`); frames do not change.

    Raises:
        ValueError: no frames, frames that are not uint8 RGB of one size, an `fps` or `crf` out of
            range, audio that cannot be read, or an output that `prepare_output` refuses.
    """
    import av

    check_rate(fps)
    if not 0 <= crf <= 51:
        raise ValueError(f"crf={crf} must lie in 0 (best) to 51.")
    path = prepare_output(path)
    with contextlib.ExitStack() as stack:
        track = None if audio_from is None else stack.enter_context(sound.open_track(audio_from))
        partial = stack.enter_context(completed(path))
        container_format = CONTAINERS[path.suffix.lower()]
        # Without this flag MP4 has room for a few well-known tags only.
        options = (
            {"movflags": "use_metadata_tags"} if record and container_format != "matroska" else {}
        )
        container = av.open(partial, "w", format=container_format, options=options)
        stack.enter_context(container)
        container.metadata.update(tags_of(record))
        encoder = _Encoder(container, exact_rate(fps), crf, track, pixel_aspect)
        yield encoder.write
        encoder.finish()


class _Encoder:
    """Writer of frames, and of the audio that belongs to them, into a container."""

    def __init__(
        self,
        container: "av.container.OutputContainer",
        rate: Fraction,
        crf: int,
        track: sound.Track | None,
        pixel_aspect: Fraction,
    ):
        self.container = container
        self.rate = rate
        self.crf = crf
        self.track = track
        self.pixel_aspect = pixel_aspect
        self.size = None  # (height, width) of the first frames
        self.stream = None  # made with the first frame
        self.packets = iter(())  # of audio; `packet` is the next one
        self.packet = None
        self.number = 0  # of the next frame, counted from time 0

    def write(self, chunk: Frames) -> None:
        if chunk.dtype != np.uint8 or chunk.ndim != 4 or chunk.shape[-1] != 3:
            raise ValueError(
                f"frames must be uint8 (f, h, w, 3), not {chunk.dtype} {chunk.shape}: "
                "to_frames converts pixels."
            )
        self.size = self.size or chunk.shape[1:3]
        if chunk.shape[1:3] != self.size:
            raise ValueError(f"frames of {chunk.shape[1:3]} follow frames of {self.size}.")
        missing = ((0, self.size[0] % 2), (0, self.size[1] % 2), (0, 0))
        for frame in chunk:
            self._encode(np.pad(frame, missing, mode="edge"))

    def finish(self) -> None:
        if self.stream is None:
            raise ValueError("there are no frames to write.")
        self.container.mux(self.stream.encode())
        while self.packet is not None:
            self._mux_packet()

    def _encode(self, frame: np.ndarray) -> None:
        if self.stream is None:
            self.stream = self._start(*frame.shape[:2])
        image = to_yuv(frame)
        image.pts, image.time_base = self.number, 1 / self.rate
        self.container.mux(self.stream.encode(image))
        self.number += 1
        # Video and audio of the same time are interleaved in the file.
        while self.packet is not None and _packet_time(self.packet) <= self.number / self.rate:
            self._mux_packet()

    def _start(self, height: int, width: int) -> "av.VideoStream":
        from av.video.reformatter import ColorRange, Colorspace

        options = {"crf": str(self.crf)}
        stream = self.container.add_stream("libx264", rate=self.rate, options=options)
        stream.height, stream.width = height, width
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = Colorspace.ITU709
        context.color_range = ColorRange.MPEG
        if self.pixel_aspect != 1:
            context.sample_aspect_ratio = self.pixel_aspect
        if self.track is not None:
            self.number = self.track.frames_ahead(self.rate)
            start = self.number / self.rate
            self.packets = sound.add_track(self.container, self.track, start)
            self.packet = next(self.packets, None)
        return stream

    def _mux_packet(self) -> None:
        assert self.packet is not None
        self.container.mux(self.packet)
        self.packet = next(self.packets, None)


def _packet_time(packet: "av.Packet") -> Fraction:
    assert packet.dts is not None
    return packet.dts * Fraction(packet.time_base)
