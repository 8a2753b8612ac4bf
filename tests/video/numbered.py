# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Videos whose frames encode their number."""

from fractions import Fraction

import av
import numpy as np

LEVEL_STEP = 6  # of 256 between neighbouring frames: x264 and yuv take less than half of it


def numbered(count=40):
    """Frames whose brightness is their number."""
    levels = np.arange(count, dtype=np.uint8)[:, None, None, None] * LEVEL_STEP
    return np.broadcast_to(levels, (count, 48, 64, 3)).copy()


def numbers(frames) -> list[int]:
    return np.rint(frames.mean((1, 2, 3)) / LEVEL_STEP).astype(int).tolist()


def write_timed(path, times_ms, rate):
    """Writes a video whose frames appear at these times, on a clock of milliseconds."""
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": "10"})
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for time, pixels in zip(times_ms, numbered(len(times_ms))):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path
