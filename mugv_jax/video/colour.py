# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Conversion of decoded pictures to RGB and back, without drift in repeated conversions.

A picture is converted with the matrix and the range that its file names. A file that names none is
read as FFmpeg reads it: with the matrix of its primaries or HDR transfer if these are of BT.709 or
BT.2020, else with that of BT.601, whatever its size; and as limited range, but for pixel formats
that are full range by definition. SDR keeps its primaries and its transfer.
"""

import functools
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from mugv_jax.video import hdr
from mugv_jax.video.orientation import orientation

if TYPE_CHECKING:
    import av

MAX_PIXELS = 150_000_000  # of a picture: 450 MB once decoded
# swscale.h: SWS_BICUBIC | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT. Without the last two, a frame
# comes back more than one level darker, which adds up when a video is continued repeatedly.
EXACT_COLOUR = 0x4 | 0x40000 | 0x2000
UNSPECIFIED = {2, 3}  # matrices of H.273, table 4: not told, reserved
# Matrices that swscale computes: RGB, BT.709, FCC, BT.601 (two), SMPTE 240M, BT.2020 with
# non-constant luminance.
MATRICES = {0, 1, 4, 5, 6, 7, 9, *UNSPECIFIED}
HDR_NAMES = {hdr.PQ: "PQ", hdr.HLG: "HLG"}


def upright_rgb(
    frame: "av.VideoFrame", *, pixel_aspect: Fraction | None = None
) -> UInt8[np.ndarray, "h w 3"]:
    """RGB pixels of a decoded frame, turned and mirrored as its file says.

    HDR (PQ or HLG) is mapped to SDR (`hdr.py`), and transparency is flattened onto white.

    pixel_aspect: width of a pixel, divided by its height, to scale to square pixels (bicubic) by
        enlarging the shorter of both; None keeps the pixels as they are stored.

    Raises:
        ValueError: colours that cannot be converted.
    """
    size = frame.width, frame.height
    if pixel_aspect is not None:
        size = square_size(*size, pixel_aspect)
    alpha = has_alpha(frame.format.name)
    if frame.color_trc in HDR_NAMES:
        codes = _converted(frame, "rgb48le", size).to_ndarray()
        rgb = hdr.to_sdr(codes, _white(frame), frame.color_trc, frame.color_primaries)
        if alpha:
            opacity = _converted(frame, "rgba", size).to_ndarray()[..., 3:]
            rgb = on_white(np.dstack([rgb, opacity]))
    elif alpha:
        rgb = on_white(_converted(frame, "rgba", size).to_ndarray())
    else:
        rgb = _converted(frame, "rgb24", size).to_ndarray()
    return orientation(frame).upright(rgb)


def square_size(width: int, height: int, pixel_aspect: Fraction) -> tuple[int, int]:
    """(width, height) of a picture once its pixels are square; no side becomes shorter."""
    if pixel_aspect > 1:
        return round(width * pixel_aspect), height
    return width, round(height / pixel_aspect)


@functools.cache
def has_alpha(pixel_format: str) -> bool:
    """Whether pixels of this format of FFmpeg may be transparent, palettes included."""
    from av.video.format import VideoFormat

    components = VideoFormat(pixel_format).components
    return pixel_format == "pal8" or any(component.is_alpha for component in components)


def on_white(rgba: UInt8[np.ndarray, "h w 4"]) -> UInt8[np.ndarray, "h w 3"]:
    """Colours in front of a white background, the usual one of product pictures."""
    image = Image.fromarray(rgba)
    white = Image.new("RGBA", image.size, "white")
    return np.array(Image.alpha_composite(white, image).convert("RGB"))


def _converted(frame: "av.VideoFrame", pixel_format: str, size: tuple[int, int]) -> "av.VideoFrame":
    """The frame in an RGB format, scaled to (width, height).

    Raises:
        ValueError: a colour matrix that swscale does not know.
    """
    if frame.colorspace not in MATRICES and not frame.format.is_rgb:
        raise ValueError(
            f"its colours are stored with matrix {frame.colorspace} of H.273, which is not read; "
            "save it in BT.709 with a video tool."
        )
    width, height = size
    return frame.reformat(
        width=width,
        height=height,
        format=pixel_format,
        src_colorspace=_matrix(frame),
        interpolation=EXACT_COLOUR,
    )


def _matrix(frame: "av.VideoFrame") -> int | None:
    """The matrix to read a frame with that names none; None for the one that it names."""
    from av.video.reformatter import Colorspace

    if frame.colorspace not in UNSPECIFIED or frame.format.is_rgb:
        return None
    if frame.color_trc in HDR_NAMES or frame.color_primaries == hdr.BT2020:
        return Colorspace.BT2020
    return Colorspace.ITU709 if frame.color_primaries == hdr.BT709 else Colorspace.ITU601


def _white(frame: "av.VideoFrame") -> int:
    """The code that swscale gives white in 16-bit RGB: it shifts values of n bits to the left.

    Limited range counts as 8 bits.
    """
    from av.video.reformatter import ColorRange

    full = frame.color_range == ColorRange.JPEG or frame.format.is_rgb
    bits = frame.format.components[0].bits if full else 8
    return (1 << 16) - (1 << 16 - bits)


def to_yuv(frame: UInt8[np.ndarray, "h w 3"]) -> "av.VideoFrame":
    """The frame as yuv420p, with BT.709 matrix and limited range."""
    import av
    from av.video.reformatter import ColorRange, Colorspace

    return av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(
        format="yuv420p",
        dst_colorspace=Colorspace.ITU709,
        dst_color_range=ColorRange.MPEG,
        interpolation=EXACT_COLOUR,
    )
