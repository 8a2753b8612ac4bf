# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Conversion of decoded pictures to RGB and back, without drift in repeated conversions."""

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

if TYPE_CHECKING:
    import av

# swscale.h: SWS_BICUBIC | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT. Without the last two, a frame
# comes back more than one level darker, which adds up when a video is continued repeatedly.
EXACT_COLOUR = 0x4 | 0x40000 | 0x2000


def upright_rgb(frame: "av.VideoFrame") -> UInt8[np.ndarray, "h w 3"]:
    """RGB pixels of a decoded frame, rotated as its file says.

    A frame without a colour matrix is taken to be BT.601, which FFmpeg writes by default.
    """
    quarter_turns = round(frame.rotation / 90)  # counter-clockwise, as numpy counts
    rgb = frame.reformat(format="rgb24", interpolation=EXACT_COLOUR).to_ndarray()
    return np.rot90(rgb, quarter_turns)


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
