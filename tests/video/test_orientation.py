# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""All eight orientations of a picture with four different quarters, in videos and picture files."""

import io
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from mugv_jax import video
from tests.video.made import tagged, write_frames

ONE = 1 << 16
RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
# EXIF orientation: linear part (a, b, c, d) of the display matrix, and the upright quarters.
EIGHT = {
    1: ((1, 0, 0, 1), "RG BW"),
    2: ((-1, 0, 0, 1), "GR WB"),
    3: ((-1, 0, 0, -1), "WB GR"),
    4: ((1, 0, 0, -1), "BW RG"),
    5: ((0, 1, 1, 0), "RB GW"),
    6: ((0, 1, -1, 0), "BR WG"),
    7: ((0, -1, -1, 0), "WG BR"),
    8: ((0, -1, 1, 0), "GW RB"),
}


def quarters(width=128, height=96):
    """Red and green above blue and white."""
    picture = np.empty((height, width, 3), np.uint8)
    for number, colour in enumerate((RED, GREEN, BLUE, WHITE)):
        rows, columns = divmod(number, 2)
        picture[
            rows * height // 2 : (rows + 1) * height // 2,
            columns * width // 2 : (columns + 1) * width // 2,
        ] = colour
    return picture


def seen(picture):
    """Letters of the four quarters, as "RG BW"."""
    height, width = picture.shape[:2]
    names = {RED: "R", GREEN: "G", BLUE: "B", WHITE: "W"}
    letters = [
        names[tuple(int(value > 127) * 255 for value in picture[row, column])]
        for row in (height // 4, 3 * height // 4)
        for column in (width // 4, 3 * width // 4)
    ]
    return "{}{} {}{}".format(*letters)


@pytest.mark.parametrize("suffix", video.CONTAINERS)
@pytest.mark.parametrize("exif", EIGHT)
def test_a_video_is_shown_as_its_matrix_says(exif, suffix, tmp_path):
    (a, b, c, d), upright = EIGHT[exif]
    shift = [128 * (a < 0) + 96 * (c < 0), 96 * (d < 0) + 128 * (b < 0)]
    matrix = [a * ONE, b * ONE, 0, c * ONE, d * ONE, 0, *(ONE * each for each in shift), 1 << 30]
    frame = tagged(quarters(), "yuv420p", matrix=1)
    path = write_frames(tmp_path / f"clip{suffix}", [frame], matrix=matrix)
    shape = (96, 128, 3) if exif < 5 else (128, 96, 3)
    (read,) = video.read_video(path).frames
    assert (seen(read), read.shape) == (upright, shape)
    with video.open_frames(path) as stream:
        assert stream.size == shape[1::-1]
        np.testing.assert_array_equal(next(stream.frames), read)


@pytest.mark.parametrize("exif", EIGHT)
def test_a_video_of_photographs_is_shown_as_their_exif_says(exif, tmp_path):
    photograph, tags = io.BytesIO(), Image.Exif()
    tags[0x0112] = exif
    Image.fromarray(quarters()).save(photograph, "JPEG", exif=tags)
    with av.open(tmp_path / "clip.avi", "w") as container:
        stream = container.add_mux_stream("mjpeg", rate=25, width=128, height=96)
        packet = av.Packet(photograph.getvalue())
        packet.pts = packet.dts = 0
        packet.time_base, packet.stream = Fraction(1, 25), stream
        container.mux(packet)
    (read,) = video.read_video(tmp_path / "clip.avi").frames
    assert seen(read) == EIGHT[exif][1]


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp"])
@pytest.mark.parametrize("orientation", EIGHT)
def test_a_picture_is_shown_as_its_exif_says(orientation, suffix, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"picture{suffix}"
    Image.fromarray(quarters()).save(path, exif=exif)
    read = video.read_image(path)
    shape = (96, 128, 3) if orientation < 5 else (128, 96, 3)
    assert (seen(read), read.shape) == (EIGHT[orientation][1], shape)
