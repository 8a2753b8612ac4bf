# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Colours of pictures that state code points (ITU-T H.273) in place of an ICC profile.

AVIF and HEIC state them in a box `colr` of type `nclx`, PNG in a chunk `cICP`.
"""

import os
import struct
from typing import NamedTuple

import numpy as np
from PIL import Image

HEAD_BYTES = 64 * 2**10  # both stand before the pixels
BOX, CHUNK = b"colrnclx", b"cICP"
HDR = {16: "PQ", 18: "HLG"}  # transfer characteristics
WHITE = (0.3127, 0.3290)  # D65, of all of these
SRGB = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
WIDE = {  # colour primaries: (x, y) of red, green and blue
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),  # BT.2020
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),  # Display P3
}


class CodePoints(NamedTuple):
    """Numbers of the primaries and of the transfer characteristics."""

    primaries: int
    transfer: int


def code_points(path: str | os.PathLike, kind: str | None) -> CodePoints | None:
    """The code points that a picture file of this kind states; None if it states none.

    Raises:
        OSError: the file cannot be read.
    """
    form = {"AVIF": (BOX, ">HH"), "HEIF": (BOX, ">HH"), "PNG": (CHUNK, ">BB")}.get(kind or "")
    if form is None:
        return None
    start, numbers = form
    with open(path, "rb") as file:
        head = file.read(HEAD_BYTES)
    at = head.find(start)
    if kind == "PNG" and at > head.find(b"IDAT"):
        return None  # among the pixels
    here = head[at + len(start) :][: struct.calcsize(numbers)]
    whole = at >= 0 and len(here) == struct.calcsize(numbers)
    return CodePoints(*struct.unpack(numbers, here)) if whole else None


def from_primaries(image: Image.Image, primaries: int) -> Image.Image:
    """An RGB picture with the curve of sRGB and other primaries, in sRGB; colours outside clipped.

    sRGB = encode(M decode(RGB)),   M = M_sRGB^-1 M_primaries, both to XYZ with one white
    """
    if primaries not in WIDE:
        return image
    matrix = np.linalg.solve(_to_xyz(SRGB), _to_xyz(WIDE[primaries])).astype(np.float32)
    levels = np.arange(256) / 255
    decoded = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    linear = decoded.astype(np.float32)[np.asarray(image)] @ matrix.T
    linear = linear.clip(0, 1)
    encoded = np.where(
        linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** np.float32(1 / 2.4) - 0.055
    )
    return Image.fromarray(np.rint(encoded * 255).astype(np.uint8))


def _to_xyz(primaries: tuple[tuple[float, float], ...]) -> np.ndarray:
    """Matrix from linear RGB to XYZ, the white having Y = 1."""
    columns = np.array([(x / y, 1, (1 - x - y) / y) for x, y in (*primaries, WHITE)]).T
    return columns[:, :3] * np.linalg.solve(columns[:, :3], columns[:, 3])
