# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures as Pillow opens them, and their pixels as uint8 sRGB."""

import contextlib
import logging
import os
import struct
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import ExifTags, Image, UnidentifiedImageError, features

from mugv_jax.video.code_points import HDR, code_points, from_primaries
from mugv_jax.video.colour import on_white
from mugv_jax.video.colour_profiles import to_srgb, untagged
from mugv_jax.video.deep_pictures import UnusablePixels, of_8_bits
from mugv_jax.video.kinds import kind_of

log = logging.getLogger(__name__)

# What Pillow raises for damaged files.
DAMAGED = (OSError, SyntaxError, ValueError, EOFError, RuntimeError, struct.error)
# Value of EXIF's Orientation (CIPA DC-008, 4.6.4) -> what makes the picture upright.
TURNS: dict[Any, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Keys of Pillow's info: its own of a colour profile, and ours.
PROFILE, CODE_POINTS = "icc_profile", "code_points"


class NoPicture(ValueError):
    """Content that is none of the kinds of pictures."""


@contextlib.contextmanager
def opened_picture(path: str | os.PathLike) -> Iterator[Image.Image]:
    """Open the picture file `path`; its pixels are not loaded yet.

    Raises:
        NoPicture: the file is no picture.
        ValueError: it has too many pixels for Pillow, or needs a library that is not installed.
    """
    with warnings.catch_warnings():
        # Pillow warns of sizes below MAX_PIXELS, and of broken EXIF data that nothing reads.
        warnings.simplefilter("ignore")
        try:
            kind = kind_of(path)
            _need_reader(kind)
            image = Image.open(path)
            image.info[CODE_POINTS] = code_points(path, kind)
        except UnidentifiedImageError as error:
            raise NoPicture(f"image {str(path)!r} cannot be opened: {error}.") from error
        except (Image.DecompressionBombError, *DAMAGED) as error:
            raise ValueError(f"image {str(path)!r} cannot be opened: {error}.") from error
        with image:
            yield image


def _need_reader(kind: str | None) -> None:
    """Refuses files of a kind that this installation of Pillow cannot read.

    Raises:
        ValueError: a library is missing; the message says how to install it.
    """
    if kind == "AVIF" and not features.check("avif"):
        raise ValueError(
            "this Pillow was built without AVIF: pip install --upgrade --force-reinstall pillow"
        )
    if kind == "HEIF":
        try:
            import pillow_heif  # pyright: ignore[reportMissingImports]
        except ImportError as error:
            raise ValueError(
                "HEIC pictures need the library pillow-heif: pip install pillow-heif"
            ) from error
        pillow_heif.register_heif_opener()


def is_hdr(image: Image.Image) -> bool:
    """Whether the file of an opened picture states an HDR transfer, which Pillow does not read."""
    points = image.info.get(CODE_POINTS)
    return points is not None and points.transfer in HDR


@contextlib.contextmanager
def damage_of(path: str | os.PathLike, what: str = "image") -> Iterator[None]:
    """Turn what Pillow raises for damaged files into a ValueError that names the file `path`."""
    try:
        yield
    except UnusablePixels as error:
        raise ValueError(f"{what} {str(path)!r} cannot be used: {error}.") from error
    except DAMAGED as error:
        raise ValueError(f"{what} {str(path)!r} is damaged: {error}.") from error


def to_rgb(image: Image.Image) -> UInt8[np.ndarray, "h w 3"]:
    """RGB pixels of a Pillow image, converted as `read_image` converts those of a file.

    Raises:
        UnusablePixels: HDR, floating-point numbers, or integers of more than 16 bits.
    """
    name = os.fspath(getattr(image, "filename", ""))
    image = _upright(of_8_bits(name, image), name)
    colours, alpha = _parts(image)
    rgb = _in_srgb(colours, image.info, name)
    return (
        np.array(rgb)
        if alpha is None
        else on_white(np.dstack([np.asarray(rgb), np.asarray(alpha)]))
    )


def _upright(image: Image.Image, name: str) -> Image.Image:
    """The picture turned as its EXIF data says; damaged data is ignored, with a warning."""
    image.load()
    try:
        turn = TURNS.get(image.getexif().get(ExifTags.Base.Orientation))
    except DAMAGED as error:
        log.warning("image %r: its EXIF data is damaged (%s) and is ignored.", name, error)
        return image
    return image if turn is None else image.transpose(turn)


def _in_srgb(colours: Image.Image, info: Mapping[Any, Any], name: str) -> Image.Image:
    """Colours in mode RGB, L, CMYK or LAB in sRGB, by what Pillow's `info` says about the file.

    Raises:
        UnusablePixels: HDR.
    """
    points, profile = info.get(CODE_POINTS), info.get(PROFILE)
    if points and points.transfer in HDR:
        raise UnusablePixels(f"it is HDR ({HDR[points.transfer]}); save it as SDR")
    if profile and isinstance(profile, bytes):
        return to_srgb(colours, profile, name)
    return from_primaries(untagged(colours), points.primaries) if points else untagged(colours)


def _parts(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """(colours in mode RGB, L, CMYK or LAB; opacity, None if all is opaque)."""
    grey = image.mode in ("1", "L", "LA", "La")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return rgba.getchannel("R") if grey else rgba.convert("RGB"), rgba.getchannel("A")
    if image.mode in ("CMYK", "LAB"):
        return image, None
    return image.convert("L" if grey else "RGB"), None
