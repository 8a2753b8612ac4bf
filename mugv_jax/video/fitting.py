# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures and frames scaled to the size of a video, also where its shape is another.

crop     cover the size, and cut off what hangs over, evenly on both sides (as published)
pad      lie within the size, and fill the rest with bars
stretch  have the size, whatever becomes of the proportions
"""

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from mugv_jax.video.colour import MAX_PIXELS

CROP, PAD, STRETCH = FITS = ("crop", "pad", "stretch")


def check_fit(how: str) -> None:
    """Raise a ValueError for a way of fitting that does not exist."""
    if how not in FITS:
        raise ValueError(f"fit={how!r} must be one of {', '.join(FITS)}.")


def fit(
    frames: UInt8[np.ndarray, "*f h w 3"], height: int, width: int, how: str = CROP
) -> UInt8[np.ndarray, "*f {height} {width} 3"]:
    """Frames scaled (bicubic) to height x width.

    how: one of FITS. Geometry and rounding of "crop" are those of the published
        `resize_crop_to_fill`. The bars of "pad" have the median colour of the first frame's edges:
        white for a product on white.

    Raises:
        ValueError: the size is not positive, another `how`, or a shape so unlike the picture's that
            the scaled picture would have more than `MAX_PIXELS`.
    """
    check_fit(how)
    if height < 1 or width < 1:
        raise ValueError(f"size {height}x{width} (height x width) must be positive.")
    rows, columns = scaled_size(frames.shape[-3], frames.shape[-2], height, width, how)
    if rows * columns > MAX_PIXELS:
        raise ValueError(
            f"a picture of {frames.shape[-2]}x{frames.shape[-3]} pixels is too long and narrow to "
            f"cover {width}x{height}: crop it to a similar shape."
        )
    fitted = np.empty((*frames.shape[:-3], height, width, 3), np.uint8)
    if rows < height or columns < width:
        fitted[:] = _edge_colour(frames)
    # Where the scaled frame begins in the fitted one, or the fitted one in the scaled frame.
    (top, above), (left, before) = _offset(rows, height), _offset(columns, width)
    for index in np.ndindex(frames.shape[:-3]):
        image = Image.fromarray(frames[index]).resize((columns, rows), Image.Resampling.BICUBIC)
        part = np.asarray(image)[top : top + height, left : left + width]
        fitted[index][above : above + part.shape[0], before : before + part.shape[1]] = part
    return fitted


def scaled_size(
    old_height: int, old_width: int, height: int, width: int, how: str
) -> tuple[int, int]:
    """(height, width) of a frame after scaling, before it is cut or filled up."""
    if how == STRETCH:
        return height, width
    scale_h, scale_w = height / old_height, width / old_width
    if (scale_h > scale_w) == (how == CROP):
        return height, max(1, round(old_width * scale_h))
    return max(1, round(old_height * scale_w)), width


def lost_share(old_height: int, old_width: int, height: int, width: int) -> float:
    """Share of a frame's area that "crop" cuts off."""
    rows, columns = scaled_size(old_height, old_width, height, width, CROP)
    return 1 - height * width / (rows * columns)


def _offset(scaled: int, size: int) -> tuple[int, int]:
    """Pixels to skip at the start of a scaled side, and of the fitted side."""
    return (round((scaled - size) / 2), 0) if scaled > size else (0, (size - scaled) // 2)


def _edge_colour(frames: UInt8[np.ndarray, "*f h w 3"]) -> UInt8[np.ndarray, "3"]:
    """Median colour along the four edges of the first frame."""
    frame = frames.reshape(-1, *frames.shape[-3:])[0]
    edges = np.concatenate([frame[0], frame[-1], frame[:, 0], frame[:, -1]])
    return np.median(edges, axis=0).astype(np.uint8)
