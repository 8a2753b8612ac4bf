# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures of more than 8 bits, against their values rounded in float64."""

import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from mugv_jax import video
from tests.video.profiles import P3_XY, in_srgb, matrix_profile

COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}  # of PNG, by the number of channels


@pytest.fixture
def values():
    return np.random.default_rng(0).integers(0, 65536, (20, 24, 4), np.uint16)


def write_png(path, values, *, key=None, profile=None):
    """Writes 16 bits per channel, which Pillow does not write for colours."""
    height, width, channels = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, COLOUR_TYPES[channels], 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    if key is not None:
        chunks.insert(1, (b"tRNS", np.asarray(key, ">u2").tobytes()))
    if profile is not None:
        chunks.insert(1, (b"iCCP", b"profile\0\0" + zlib.compress(profile)))
    content = b"\x89PNG\r\n\x1a\n"
    for name, data in chunks:
        check = zlib.crc32(name + data)
        content += struct.pack(">I", len(data)) + name + data + struct.pack(">I", check)
    path.write_bytes(content)
    return path


def nearest(values):
    return np.rint(values / 257)


def on_white(colours, alpha):
    return 255 + (nearest(colours) - 255) * (alpha / 65535)


def test_png_of_16_bits_is_rounded_to_the_nearest_of_8(values, tmp_path):
    read = video.read_image(write_png(tmp_path / "rgb.png", values[..., :3]))
    np.testing.assert_array_equal(read, nearest(values[..., :3]))
    read = video.read_image(write_png(tmp_path / "grey.png", values[..., :1]))
    np.testing.assert_array_equal(read, nearest(values[..., :1]).repeat(3, -1))


def test_png_of_16_bits_is_flattened_onto_white(values, tmp_path):
    colours, alpha = values[..., :3], values[..., 3:]
    read = video.read_image(write_png(tmp_path / "rgba.png", values))
    np.testing.assert_allclose(read, on_white(colours, alpha), atol=1)
    both = np.dstack([colours[..., :1], alpha])
    read = video.read_image(write_png(tmp_path / "la.png", both))
    # Pillow drops the lower bytes of grey and alpha, each up to one level.
    np.testing.assert_allclose(read, on_white(colours[..., :1], alpha).repeat(3, -1), atol=2)


@pytest.mark.parametrize("channels", [1, 3])
def test_only_the_one_transparent_colour_of_16_bits_is_white(channels, tmp_path):
    values = np.full((16, 16, channels), 0x1234, np.uint16)
    values[:8] += 1  # the same upper byte
    read = video.read_image(write_png(tmp_path / "key.png", values, key=values[-1, -1]))
    assert (read[8:] == 255).all()
    assert (read[:8] == nearest(0x1235)).all()


def test_profile_and_depth_go_together(values, tmp_path):
    colours = values[..., :3]
    path = write_png(tmp_path / "p3.png", colours, profile=matrix_profile(P3_XY))
    expected = in_srgb(nearest(colours), P3_XY)
    np.testing.assert_allclose(video.read_image(path), expected, atol=2)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"byteorder": ">"},
        {"compression": "zlib"},
        {"compression": "zlib", "byteorder": ">"},
        {"tile": (16, 16)},
        {"rowsperstrip": 7},
        {"planarconfig": "separate"},
        {"planarconfig": "separate", "byteorder": ">", "rowsperstrip": 7},
        {"planarconfig": "separate", "compression": "zlib"},
    ],
    ids=str,
)
def test_tiff_of_16_bits_is_rounded_to_the_nearest_of_8(options, values, tmp_path):
    colours = values[..., :3]
    planes = "planarconfig" in options
    given = np.moveaxis(colours, -1, 0) if planes else colours
    tifffile.imwrite(tmp_path / "deep.tif", given, photometric="rgb", **options)
    read = video.read_image(tmp_path / "deep.tif")
    # libtiff hands over the upper bytes alone of channels that lie one after the other.
    cut = planes and "compression" in options
    np.testing.assert_allclose(read, nearest(colours), atol=1 if cut else 0)


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
def test_grey_tiff_of_16_bits_may_begin_at_white(photometric, compression, values, tmp_path):
    grey, path = values[..., 0], tmp_path / "grey.tif"
    tifffile.imwrite(path, grey, photometric=photometric, compression=compression)
    shown = grey if photometric == "minisblack" else 65535 - grey
    np.testing.assert_array_equal(video.read_image(path)[..., 1], nearest(shown))


def test_grey_tiff_of_12_bits_keeps_its_range(tmp_path):
    levels = np.random.default_rng(0).integers(0, 4096, (16, 16))
    high, low = levels[:, ::2], levels[:, 1::2]  # two values in three bytes
    packed = np.stack([high >> 4, (high & 15) << 4 | low >> 8, low & 255], -1).astype(np.uint8)
    tags = {256: 16, 257: 16, 258: 12, 259: 1, 262: 1, 273: 8, 277: 1, 278: 16, 279: packed.size}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    directory = struct.pack("<H", len(tags)) + entries + bytes(4)
    start = struct.pack("<2sHI", b"II", 42, 8 + packed.size)
    (tmp_path / "grey.tif").write_bytes(start + packed.tobytes() + directory)
    expected = np.rint(levels * 255 / 4095)
    np.testing.assert_array_equal(video.read_image(tmp_path / "grey.tif")[..., 2], expected)


def test_pictures_in_memory_keep_their_range_too(values):
    grey = values[..., 0]
    np.testing.assert_array_equal(video.to_rgb(Image.fromarray(grey))[..., 0], nearest(grey))


@pytest.mark.parametrize(
    ("dtype", "reason"),
    [
        (np.float32, "floating-point numbers of unknown range; scale them to 0 to 255"),
        (np.uint32, "integers from .*, whose range is unknown; scale them to 0 to 65535"),
        (np.int16, "integers from -.*, whose range is unknown"),
    ],
)
def test_numbers_of_unknown_range_are_refused(dtype, reason, values, tmp_path):
    path = tmp_path / "numbers.tif"
    spread = (values[..., 0].astype(np.float64) - 30000) * (1 if dtype == np.int16 else 40000)
    tifffile.imwrite(path, spread.clip(*_range(dtype)).astype(dtype), photometric="minisblack")
    with pytest.raises(ValueError, match=f"numbers.tif' cannot be used: its pixels are {reason}"):
        video.read_image(path)


def _range(dtype):
    return (-1e9, 1e9) if dtype == np.float32 else (np.iinfo(dtype).min, np.iinfo(dtype).max)
