# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Video files made for tests: any pixel format, colour tags, shape of pixels, orientation."""

from fractions import Fraction

import av
import numpy as np
from av.video.reformatter import ColorRange

from mugv_jax.video.colour import EXACT_COLOUR

LOSSLESS = {"libx264": {"qp": "0"}, "libvpx-vp9": {"lossless": "1"}}


def patches(height=48, width=64, side=8, seed=0):
    """RGB squares of random colours, among them black, white and grey; uint8 (h, w, 3)."""
    rng = np.random.default_rng(seed)
    colours = rng.integers(0, 256, (height // side * (width // side), 3))
    colours[:6] = [[level] * 3 for level in (0, 16, 64, 128, 200, 255)]
    colours = colours.reshape(height // side, width // side, 3).astype(np.uint8)
    return colours.repeat(side, axis=0).repeat(side, axis=1)


def tagged(rgb, pix_fmt, *, matrix=2, full=False, primaries=2, transfer=2):
    """A frame of `pix_fmt` whose values are `rgb` with this matrix and range, tagged as such."""
    source = av.VideoFrame.from_ndarray(rgb, format="rgba" if rgb.shape[-1] == 4 else "rgb24")
    color_range = ColorRange.JPEG if full else ColorRange.MPEG
    frame = source.reformat(
        format=pix_fmt,
        dst_colorspace=5 if matrix == 2 else matrix,
        dst_color_range=color_range,
        interpolation=EXACT_COLOUR,
    )
    if not frame.format.is_rgb:
        frame.colorspace, frame.color_range = matrix, color_range
    frame.color_primaries, frame.color_trc = primaries, transfer
    return frame


def write_frames(
    path, frames, codec="libx264", *, rate=25, times=None, pixel_aspect=None, matrix=None, **options
):
    """Writes a file of frames, tagged as the first of them; lossless where the codec can be.

    times: of the frames, in milliseconds.
    matrix: nine integers of the display matrix.
    """
    with av.open(path, "w") as container:
        settings = LOSSLESS.get(codec, {}) | options
        stream = container.add_stream(codec, rate=rate, options=settings)
        first = frames[0]
        stream.width, stream.height, stream.pix_fmt = first.width, first.height, first.format.name
        context = stream.codec_context
        for tag in ("colorspace", "color_range", "color_primaries", "color_trc"):
            setattr(context, tag, getattr(first, tag))
        if pixel_aspect is not None:
            context.sample_aspect_ratio = pixel_aspect
        if times is not None:
            context.time_base = Fraction(1, 1000)
        stream.set_display_matrix(matrix)
        for number, frame in enumerate(frames):
            frame.pts, frame.time_base = number, 1 / Fraction(rate)
            if times is not None:
                frame.pts, frame.time_base = times[number], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path
