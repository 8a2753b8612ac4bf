# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures: reading of files as uint8 sRGB."""

import os
import pathlib

import numpy as np
from jaxtyping import UInt8

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
