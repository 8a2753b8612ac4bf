# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures of 12 and 16 bits per channel, rounded to the nearest of 8 bits.

Pillow reads 16-bit grey whole, but of 16-bit RGB the upper byte of every value alone. The lower
bytes are those that the other byte order calls the upper ones.
"""

import sys

import numpy as np
from jaxtyping import Int, UInt8
from PIL import Image, TiffImagePlugin

HIGHEST = 65535
HIGHEST_OF_12_BITS = 4095
BYTE_ORDERS = {"16B": "16L", "16L": "16B", "16N": {"little": "16B", "big": "16L"}[sys.byteorder]}
CHANNELS = ("RGB", "RGBA", "RGBX", "R", "G", "B", "A")
TRANSPARENT = "transparency"  # key of a colour that counts as transparent, in Pillow's info
# TIFF 6.0: tags and their values.
BITS, PHOTOMETRIC, PLANAR = 258, 262, 284
WHITE_IS_ZERO, SEPARATE = 0, 2


class UnusablePixels(ValueError):
    """Pixels that have no known colours; the message says why, and what to do."""


def of_8_bits(path: str, image: Image.Image) -> Image.Image:
    """`image` with 8 bits per channel: L, RGB or RGBA where it was deeper, else as it is.

    path: the file that `image` was opened from; "" for none. Of pixels that Pillow has loaded
        already, the lower bytes are lost.

    Raises:
        UnusablePixels: floating-point numbers, or integers of more than 16 bits.
    """
    if image.mode == "F":
        raise UnusablePixels(
            "its pixels are floating-point numbers of unknown range; scale them to 0 to 255 and "
            "save it as 8 bits"
        )
    if image.mode.startswith("I"):
        return _with_pixels(image, *_grey(image))
    if _tag(image, PLANAR) == SEPARATE:
        _correct_planes(image)
    swapped = _swapped_tiles(image)
    if not path or swapped is None:
        return image
    with Image.open(path) as low:
        low.tile = swapped
        low_bytes = np.asarray(low).astype(np.int32)
    values = np.asarray(image).astype(np.int32) << 8 | low_bytes
    key = image.info.get(TRANSPARENT)
    opaque = None if key is None else (values != np.array(key)).any(axis=-1)
    return _with_pixels(image, rounded(values, HIGHEST), opaque)


def rounded(values: Int[np.ndarray, "*axes"], highest: int) -> UInt8[np.ndarray, "*axes"]:
    """Values of 0 to `highest` as the nearest of 0 to 255."""
    return ((values * 255 + highest // 2) // highest).astype(np.uint8)


def _grey(image: Image.Image) -> tuple[UInt8[np.ndarray, "h w"], np.ndarray | None]:
    """Levels of a grey picture of more than 8 bits, and which pixels are opaque, if not all.

    Raises:
        UnusablePixels: integers of more than 16 bits.
    """
    highest = HIGHEST_OF_12_BITS if _raw_modes(image) == {"I;12"} else HIGHEST
    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > HIGHEST:
        raise UnusablePixels(
            f"its pixels are integers from {values.min()} to {values.max()}, whose range is "
            f"unknown; scale them to 0 to {HIGHEST} and save it as 16 bits"
        )
    key = image.info.get(TRANSPARENT)
    opaque = None if key is None else values != key
    if _tag(image, PHOTOMETRIC) == WHITE_IS_ZERO:
        values = highest - values
    return rounded(values, highest), opaque


def _with_pixels(
    image: Image.Image, pixels: UInt8[np.ndarray, "*axes"], opaque: np.ndarray | None
) -> Image.Image:
    """A picture of `pixels` with the profile and orientation of `image`."""
    made = Image.fromarray(pixels)
    if opaque is not None:
        made.putalpha(Image.fromarray(opaque.astype(np.uint8) * np.uint8(255)))
    made.info = {key: value for key, value in image.info.items() if key != TRANSPARENT}
    return made


def _raw_modes(image: Image.Image) -> set[str]:
    """How pixels lie in the file, as Pillow calls it; empty for a picture in memory."""
    tiles = (tile.args for tile in getattr(image, "tile", ()))
    return {str(args[0]) if isinstance(args, tuple) else str(args) for args in tiles if args}


def _swapped_tiles(image: Image.Image) -> list | None:
    """The tiles of a 16-bit picture with the other byte order; None for all other pictures."""
    swapped = []
    for tile in getattr(image, "tile", ()):
        args = tile.args if isinstance(tile.args, tuple) else (tile.args,)
        channels, _, depth = str(args[0]).partition(";")
        if channels not in CHANNELS or depth not in BYTE_ORDERS:
            return None
        args = (f"{channels};{BYTE_ORDERS[depth]}", *args[1:])
        swapped.append(tile._replace(args=args if isinstance(tile.args, tuple) else args[0]))
    return swapped or None


def _correct_planes(image: Image.Image) -> None:
    """Corrects the description of 16-bit channels that lie one after the other.

    Pillow takes them for 8 bits. (Compressed ones are read by libtiff, the upper bytes alone.)
    """
    assert isinstance(image, TiffImagePlugin.TiffImageFile)
    if image.use_load_libtiff or 16 not in image.tag_v2.get(BITS, ()):
        return
    order = "16L" if image.tag_v2.prefix == b"II" else "16B"
    tiles = []
    for tile in image.tile:
        assert isinstance(tile.args, tuple)
        channel, *rest = tile.args
        tiles.append(tile._replace(args=(f"{channel};{order}", *rest)))
    image.tile = tiles


def _tag(image: Image.Image, number: int) -> int | None:
    """Value of a tag of a TIFF file; None where there is none."""
    return getattr(image, "tag_v2", {}).get(number)
