# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures: reading of files as uint8 sRGB, and scaling to a video size."""

import os
import pathlib

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from mugv_jax.files import existing_file
from mugv_jax.video.colour import MAX_PIXELS
from mugv_jax.video.pillow_pictures import NoPicture, damage_of, is_hdr, opened_picture, to_rgb
from mugv_jax.video.reading import hdr_picture, only_frame

MIN_SIDE_PX = 16  # one token of the model covers 16 x 16 pixels


def read_image(path: str | os.PathLike) -> UInt8[np.ndarray, "h w 3"]:
    """Read a picture file, or a video of one frame, as upright (EXIF) sRGB.

    The kind of file is recognised by its content, not by its suffix. Colours with an ICC profile
    are converted to sRGB (`colour_profiles.py`); pictures without one are taken as sRGB. Values of
    16 bits are rounded to the nearest of 8 (`deep_pictures.py`). Transparency is flattened onto
    white, the usual background of product pictures. HDR (PQ and HLG in AVIF and PNG) is mapped
    to SDR. Of several frames or pages of a picture file the first is read.

    Raises:
        ValueError: the file is missing, damaged or no picture, needs a library that is not
            installed, its shorter side is below `MIN_SIDE_PX`, it has more than `MAX_PIXELS`, or it
            is a video of several frames.
    """
    path = existing_file(path, "image")
    try:
        with opened_picture(path) as image:
            _check_image_size(path, *image.size)
            sdr = hdr_picture(path) if is_hdr(image) else None
            if sdr is not None:
                return sdr
            with damage_of(path):
                return to_rgb(image)
    except NoPicture as error:
        return _of_video(path, error)


def _of_video(path: pathlib.Path, error: NoPicture) -> UInt8[np.ndarray, "h w 3"]:
    """The frame of a video that has one; `error` says why it is no picture.

    Raises:
        ValueError: no video, or one that cannot stand for a picture.
    """
    pixels = only_frame(path)
    if pixels is None:
        raise error
    _check_image_size(path, pixels.shape[1], pixels.shape[0])
    return pixels


def _check_image_size(path: pathlib.Path, width: int, height: int) -> None:
    if min(width, height) < MIN_SIDE_PX:
        raise ValueError(
            f"image {str(path)!r} is {width}x{height} pixels: at least {MIN_SIDE_PX} are needed "
            "on its shorter side."
        )
    if width * height > MAX_PIXELS:
        raise ValueError(
            f"image {str(path)!r} is {width}x{height} pixels: at most {MAX_PIXELS / 1e6:.0f} "
            "million are read; scale it down."
        )


def fit(
    frames: UInt8[np.ndarray, "*f h w 3"], height: int, width: int
) -> UInt8[np.ndarray, "*f {height} {width} 3"]:
    """Scale pictures (bicubic) to cover height x width, and crop the overhang evenly.

    Geometry and rounding are those of the published `resize_crop_to_fill`.

    Raises:
        ValueError: the size is not positive, or its shape is so unlike the picture's that the
            scaled picture would have more than `MAX_PIXELS`.
    """
    if height < 1 or width < 1:
        raise ValueError(f"size {height}x{width} (height x width) must be positive.")
    old_height, old_width = frames.shape[-3:-1]
    scale_h, scale_w = height / old_height, width / old_width
    if scale_h > scale_w:
        covering_h, covering_w = height, round(old_width * scale_h)
    else:
        covering_h, covering_w = round(old_height * scale_w), width
    if covering_h * covering_w > MAX_PIXELS:
        raise ValueError(
            f"a picture of {old_width}x{old_height} pixels is too long and narrow to cover "
            f"{width}x{height}: crop it to a similar shape."
        )
    top, left = round((covering_h - height) / 2), round((covering_w - width) / 2)
    fitted = np.empty((*frames.shape[:-3], height, width, 3), np.uint8)
    for index in np.ndindex(frames.shape[:-3]):
        image = Image.fromarray(frames[index])
        image = image.resize((covering_w, covering_h), Image.Resampling.BICUBIC)
        fitted[index] = np.asarray(image)[top : top + height, left : left + width]
    return fitted
