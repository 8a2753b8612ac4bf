# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures: reading of files as uint8 RGB with Pillow, and scaling to a video size."""

import os
import pathlib
import struct
import warnings

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps, UnidentifiedImageError

from mugv_jax.video.colour import MAX_PIXELS, on_white
from mugv_jax.video.files import existing_file
from mugv_jax.video.reading import hdr_picture, only_frame

MIN_SIDE_PX = 16  # one token of the model covers 16 x 16 pixels
HEADER_BYTES = 1 << 16  # of a PNG, in which the chunk that tells its colours lies
# What Pillow raises for damaged files.
DAMAGED = (OSError, SyntaxError, ValueError, EOFError, RuntimeError, struct.error)


def read_image(path: str | os.PathLike) -> UInt8[np.ndarray, "h w 3"]:
    """Read a picture file, or a video of one frame, as upright (EXIF) RGB.

    Transparency is flattened onto white, the usual background of product pictures. 16-bit grey
    pictures keep their range, and HDR (PQ and HLG in AVIF and PNG) is mapped to SDR. Of several
    frames or pages of a picture file the first is read. Colour profiles are not applied, as in the
    published code.

    Raises:
        ValueError: the file is missing, damaged or no picture, its shorter side is below
            `MIN_SIDE_PX`, it has more than `MAX_PIXELS`, or it is a video of several frames.
    """
    path = existing_file(path, "image")
    with warnings.catch_warnings():
        # Pillow warns of sizes below MAX_PIXELS, and of broken EXIF data that nothing reads.
        warnings.simplefilter("ignore")
        try:
            image = Image.open(path)
        except UnidentifiedImageError as error:
            return _of_video(path, error)
        except (Image.DecompressionBombError, *DAMAGED) as error:
            raise ValueError(f"image {str(path)!r} cannot be opened: {error}.") from error
        with image:
            _check_image_size(path, *image.size)
            sdr = hdr_picture(path) if _may_be_hdr(path, image) else None
            if sdr is not None:
                return sdr
            try:
                return to_rgb(image)
            except DAMAGED as error:
                raise ValueError(f"image {str(path)!r} is damaged: {error}.") from error


def _may_be_hdr(path: pathlib.Path, image: Image.Image) -> bool:
    """Whether a file may have an HDR transfer, which Pillow does not read."""
    if image.format != "PNG":
        return image.format == "AVIF"
    with open(path, "rb") as file:
        return b"cICP" in file.read(HEADER_BYTES)


def _of_video(path: pathlib.Path, error: UnidentifiedImageError) -> UInt8[np.ndarray, "h w 3"]:
    """The frame of a video that has one; `error` is why Pillow does not read the file.

    Raises:
        ValueError: no video, or one that cannot stand for a picture.
    """
    pixels = only_frame(path)
    if pixels is None:
        raise ValueError(f"image {str(path)!r} cannot be opened: {error}.") from error
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


def to_rgb(image: Image.Image) -> UInt8[np.ndarray, "h w 3"]:
    """RGB pixels of a Pillow image, converted as `read_image` converts those of a file.

    Raises:
        ValueError: pixels of unknown range.
    """
    image = ImageOps.exif_transpose(image)
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers of unknown range")
    if image.mode.startswith("I"):  # 16 bits, also where Pillow widens them to 32
        grey = np.clip(np.asarray(image).astype(np.int32), 0, 65535)
        return np.repeat(((grey * 255 + 32767) // 65535).astype(np.uint8)[..., None], 3, axis=-1)
    if image.has_transparency_data:
        return on_white(np.asarray(image.convert("RGBA")))
    return np.array(image.convert("RGB"))


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
