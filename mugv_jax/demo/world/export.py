# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Clips as lossless video files or first frames as pictures, with a list of their captions.

`mugv-jax data encode` reads the list.
"""

import fractions
import io
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from mugv_jax.axes import Frames
from mugv_jax.data.whole_files import csv_bytes, write_whole
from mugv_jax.demo.world.clips import DemoClips
from mugv_jax.progress import over

LIST = "captions.csv"


def write_clips(clips: DemoClips, folder: Path, *, pictures: bool = False) -> Path:
    """Writes clips as `folder/clips/SPLIT-NUMBER.mkv`, and a list whose path it returns.

    pictures: write first frames only, as `.png`.

    The list is written last. It has captions, and attributes in further columns.
    """
    (folder / "clips").mkdir(parents=True, exist_ok=True)
    rows = []
    for number in over(range(len(clips)), "rendering", unit="clip"):
        clip, name = clips[number], f"{clips.split}-{number:06d}"
        path = f"clips/{name}.{'png' if pictures else 'mkv'}"
        content = _picture(clip.video[0]) if pictures else lossless(clip.video, clip.fps)
        write_whole(folder / path, content)
        rows.append({"path": path, "caption": clip.caption, "id": name} | clip.attributes)
    write_whole(folder / LIST, csv_bytes(rows, rows[0]))
    return folder / LIST


def _picture(frame: UInt8[np.ndarray, "h w 3"]) -> bytes:
    content = io.BytesIO()
    Image.fromarray(frame).save(content, "png")
    return content.getvalue()


def lossless(frames: Frames, fps: float) -> bytes:
    """Matroska file of lossless H.264 in RGB; yuv420p would halve the resolution of colour."""
    import av

    content = io.BytesIO()
    with av.open(content, "w", format="matroska") as container:
        rate = fractions.Fraction(fps).limit_denominator(1001)
        stream = container.add_stream("libx264rgb", rate=rate, options={"qp": "0"})
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "rgb24"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return content.getvalue()
