# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Conversion of pictures with an ICC profile to sRGB, by Little CMS (Pillow's ImageCms).

The intent is relative colorimetric with black point compensation: white stays white, black stays
black, colours outside of sRGB are clipped. A profile that is sRGB itself changes nothing, so such
pictures keep their exact values.
"""

import functools
import itertools
import logging
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageCms

log = logging.getLogger(__name__)

INTENT = ImageCms.Intent.RELATIVE_COLORIMETRIC
FLAGS = ImageCms.Flags.BLACKPOINTCOMPENSATION | ImageCms.Flags.HIGHRESPRECALC
# Little CMS samples the curve of a grey profile, which misses dark levels by up to 10 of 255.
EXACT = ImageCms.Flags.BLACKPOINTCOMPENSATION | ImageCms.Flags.NOOPTIMIZE
# Space of a profile (ICC.1, 7.2.8) -> mode of the pixels that it describes.
MODES = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab ": "LAB"}
# Files tagged as sRGB hold tables and matrices of different rounding.
SRGB_LEVELS = 2  # of 255 that a profile may differ from sRGB and still count as it
GRID = np.array(list(itertools.product(range(0, 256, 15), repeat=3)), np.uint8)[None]
GREYS = np.arange(256, dtype=np.uint8)[None]

Conversion = Callable[[Image.Image], Image.Image]


def to_srgb(image: Image.Image, profile: bytes, name: str) -> Image.Image:
    """The picture in sRGB, mode RGB.

    image: RGB, L, CMYK or LAB. Grey pictures may have a profile of RGB.
    profile: content of the ICC profile. One that is damaged, or describes pixels of another kind,
        is ignored, with a warning.
    name: what to call the picture in the warning.
    """
    try:
        mode, convert = _conversion(profile)
    except (OSError, ValueError) as error:
        return _ignored(image, name, f"cannot be used ({error})")
    if image.mode == "L" and mode == "RGB":
        image = image.convert("RGB")
    if image.mode != mode:
        return _ignored(image, name, f"describes {mode} pixels, but they are {image.mode}")
    return convert(image)


def untagged(image: Image.Image) -> Image.Image:
    """The picture without a profile in mode RGB: values are taken as sRGB, or as Lab of D50."""
    return _lab().apply(image) if image.mode == "LAB" else image.convert("RGB")


def _ignored(image: Image.Image, name: str, reason: str) -> Image.Image:
    log.warning("image %r: its colour profile %s and is ignored.", name, reason)
    return untagged(image)


@functools.lru_cache(maxsize=16)
def _conversion(profile: bytes) -> tuple[str, Conversion]:
    """(mode of the pixels that a profile describes, their conversion to sRGB).

    Raises:
        OSError, ValueError: a profile that cannot be used.
    """
    opened = ImageCms.core.profile_frombytes(profile)
    source, space = ImageCms.ImageCmsProfile(opened), opened.xcolor_space
    if space not in MODES:
        raise ValueError(f"its colour space is {space.strip()!r}")
    if MODES[space] == "L":
        table = np.asarray(_transform(source, "L", EXACT).apply(Image.fromarray(GREYS)))[0]
        if _close(table, GREYS[0, :, None]):
            return "L", untagged
        return "L", lambda image: Image.fromarray(table[np.asarray(image)])
    transform = _transform(source, MODES[space], FLAGS)
    if MODES[space] == "RGB" and _close(np.asarray(transform.apply(Image.fromarray(GRID))), GRID):
        return "RGB", untagged
    return MODES[space], transform.apply


def _close(x: np.ndarray, y: np.ndarray) -> bool:
    return int(np.abs(x.astype(np.int16) - y).max()) <= SRGB_LEVELS


def _transform(
    source: ImageCms.ImageCmsProfile, mode: str, flags: ImageCms.Flags
) -> ImageCms.ImageCmsTransform:
    """Transform of pixels in `mode` to sRGB."""
    srgb = ImageCms.createProfile("sRGB")
    return ImageCms.ImageCmsTransform(
        source, ImageCms.ImageCmsProfile(srgb), mode, "RGB", INTENT, flags=flags
    )


@functools.cache
def _lab() -> ImageCms.ImageCmsTransform:
    return _transform(ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")), "LAB", FLAGS)
