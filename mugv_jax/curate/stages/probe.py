# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""What a video file is: digest, length, size and rate, read from its packets without decoding."""

import dataclasses
import hashlib
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import ClassVar

from mugv_jax.curate.stage import Row, Stage
from mugv_jax.video import is_picture
from mugv_jax.video.files import open_media, video_stream
from mugv_jax.video.reading import decoding
from mugv_jax.video.timeline import read_timeline

BLOCK = 2**20  # bytes read at once
LEAST_FRAMES = 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class Probe(Stage):
    """Facts of a file, and the reason if it is no video that can be cut into clips.

    `stated_s` is the length by the header of a file that is cut off before it, such as a download
    that broke off; the frames that are there are used. It is None for a whole file.

    longest_s: longer videos are set aside: their rate of frames or their index is most often wrong.
    most_pixels: larger frames are set aside.
    """

    NAME = "probe"
    READS = ("video", "path")
    WRITES: ClassVar = {
        "size_bytes": "int64",
        "digest": "string",
        "codec": "string",
        "frames_of_video": "int64",
        "duration_s": "float64",
        "stated_s": "float64",
        "width_px": "int64",
        "height_px": "int64",
        "fps": "float64",
    }

    longest_s: float = 12 * 3600.0
    most_pixels: int = 7680 * 4320

    def run(self, rows: Sequence[Row]) -> list[Row]:
        return [{**row, **self._facts(Path(row["path"]))} for row in rows]

    def _facts(self, path: Path) -> Row:
        """Columns of one file.

        Raises:
            ValueError: the file is missing, damaged, no video, or beyond the limits.
        """
        if is_picture(path):
            raise ValueError(f"{str(path)!r} is a picture, not a video.")
        timeline = read_timeline(path, whole=False)
        count = max(len(timeline.shown), len(timeline.decoded))
        if count < LEAST_FRAMES:
            raise ValueError(
                f"{str(path)!r} has {count} frame; at least {LEAST_FRAMES} are needed."
            )
        rate = timeline.constant_rate() or timeline.average_rate()
        if not rate:
            raise ValueError(f"{str(path)!r} does not state its frame rate.")
        seconds = float(Fraction(count) / rate)
        if seconds > self.longest_s:
            raise ValueError(f"{str(path)!r} lasts {seconds:.0f} s, above {self.longest_s:.0f}.")
        codec, width, height = self._picture(path)
        return {
            "size_bytes": path.stat().st_size,
            "digest": content_digest(path),
            "codec": codec,
            "frames_of_video": count,
            "duration_s": seconds,
            "stated_s": timeline.stated_s,
            "width_px": width,
            "height_px": height,
            "fps": float(rate),
        }

    def _picture(self, path: Path) -> tuple[str, int, int]:
        """Codec, width and height of the upright frames; the first frame must decode."""
        with open_media(path) as container:
            stream = video_stream(container)
            codec, pixels = stream.codec_context.name, stream.width * stream.height
            if pixels > self.most_pixels:
                raise ValueError(
                    f"{str(path)!r} has frames of {stream.width}x{stream.height} pixels, more "
                    f"than {self.most_pixels}."
                )
        with decoding(path) as (_, frames, rgb):
            first = next(frames, None)
            if first is None:
                raise ValueError(f"{str(path)!r} is damaged: no frame can be decoded.")
            height, width = rgb(first).shape[:2]
        return codec, width, height


def content_digest(path: Path) -> str:
    """Hash of a file's content, 16 bytes of BLAKE2b in hexadecimal."""
    found = hashlib.blake2b(digest_size=16)
    with open(path, "rb") as file:
        while block := file.read(BLOCK):
            found.update(block)
    return found.hexdigest()
