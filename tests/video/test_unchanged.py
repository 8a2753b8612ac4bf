# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Files that were always read right are read as ever.

`unchanged.json` holds hashes of their pixels, made before HDR, mirrored, transparent and squeezed
files were told apart (`python -m tests.video.test_unchanged` prints it). Pixels are
the same for one version of FFmpeg and of Pillow on one kind of processor; elsewhere the hashes do
not count, but pixels must still be what swscale and Pillow themselves make of the files.
"""

import hashlib
import itertools
import json
import platform
import sys
import tempfile
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import PIL
import pytest
import skimage.data
from PIL import Image

from mugv_jax import video
from tests.data.real_clips import real_clip

TABLE = Path(__file__).with_name("unchanged.json")
HERE = f"FFmpeg {av.ffmpeg_version_info}, Pillow {PIL.__version__}, {platform.machine()}"
EXACT = 0x4 | 0x40000 | 0x2000  # bicubic, accurate rounding, full chroma
FRAMES = 3
REAL = ("bigbuckbunny.mp4", "bikes.mp4", "carphone_distorted.mp4", "carphone_pristine.mp4")
SQUEEZED = REAL[2:]  # their pixels are 11:10, which only a stream keeps
PICTURES = ("astronaut.png", "retina.jpg", "moon.png", "coffee.png", "hubble_deep_field.jpg")
TURNED = {90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}
# Suffix, codec, pixel format, matrix, range; all lossless. 2 is a matrix that is not told.
MADE = (
    ("mkv", "ffv1", "yuv420p", 2, 0),
    ("mkv", "ffv1", "yuv420p", 1, 1),
    ("mkv", "ffv1", "yuv420p", 1, 2),
    ("mkv", "ffv1", "yuv422p", 5, 1),
    ("mkv", "ffv1", "yuv444p", 9, 1),
    ("mkv", "ffv1", "yuv420p10le", 1, 1),
    ("mkv", "ffv1", "yuv422p10le", 2, 0),
    ("mkv", "ffv1", "yuv444p10le", 9, 2),
    ("mkv", "ffv1", "gray", 2, 0),
    ("mkv", "ffv1", "bgr0", 0, 2),
    ("avi", "rawvideo", "yuv420p", 2, 0),
    ("avi", "huffyuv", "yuv422p", 2, 0),
    ("mov", "png", "rgb24", 0, 2),
)


def noise(pix_fmt, seed):
    """A frame of 64x48 whose planes hold random values."""
    frame = av.VideoFrame(64, 48, pix_fmt)
    rng = np.random.default_rng(seed)
    for plane in frame.planes:
        if "10le" in pix_fmt:
            values = rng.integers(64, 961, plane.buffer_size // 2).astype("<u2").tobytes()
        else:
            values = rng.integers(16, 241, plane.buffer_size).astype(np.uint8).tobytes()
        plane.update(values)
    return frame


def make(folder, suffix, codec, pix_fmt, matrix, color_range, turn=None):
    path = folder / f"{codec}_{pix_fmt}_{matrix}_{color_range}_{turn}.{suffix}"
    with av.open(path, "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, pix_fmt
        context = stream.codec_context
        context.colorspace, context.color_range = matrix, color_range
        if turn is not None:
            a, b, c, d = (each << 16 for each in TURNED[turn])
            stream.set_display_matrix([a, b, 0, c, d, 0, 0, 0, 1 << 30])
        for number in range(FRAMES):
            frame = noise(pix_fmt, number)
            frame.colorspace, frame.color_range = matrix, color_range
            frame.pts, frame.time_base = number, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def cases(folder):
    """(name, path) of every file; those that are made are written to the folder."""
    for name in REAL:
        yield name, real_clip(name)
    for name in ("no_time_for_that_tiny.gif", *PICTURES):
        yield name, Path(skimage.data.__file__).parent / name
    for options in MADE:
        path = make(folder, *options)
        yield path.name, path
    for turn in TURNED:
        path = make(folder, "mov", "png", "rgb24", 0, 2, turn)
        yield path.name, path


def read(path):
    if path.name in PICTURES:
        return video.read_image(path)
    with video.open_frames(path) as stream:
        return np.stack(list(itertools.islice(stream.frames, FRAMES)))


def digest(pixels):
    content = np.ascontiguousarray(pixels)
    return hashlib.sha256(repr(content.shape).encode() + content.tobytes()).hexdigest()[:16]


def directly(path):
    """Pixels of a picture by Pillow, or of the first frames of a video by swscale."""
    if path.name in PICTURES:
        return np.asarray(Image.open(path).convert("RGB"))
    pixels = []
    with av.open(path) as container:
        for frame, _ in zip(container.decode(video=0), range(FRAMES)):
            rgb = frame.reformat(format="rgb24", interpolation=EXACT).to_ndarray()
            pixels.append(np.rot90(rgb, round(frame.rotation / 90)))
    return np.stack(pixels)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return dict(cases(tmp_path_factory.mktemp("unchanged")))


TABLED = json.loads(TABLE.read_text()) if TABLE.exists() else {"hashes": {}}


@pytest.mark.parametrize("name", TABLED["hashes"])
def test_a_good_file_is_read_as_ever(name, files):
    pixels = read(files[name])
    np.testing.assert_array_equal(pixels, directly(files[name]))
    if name not in (*SQUEEZED, *PICTURES):
        read_at_once = video.read_video(files[name], max_frames=FRAMES).frames
        np.testing.assert_array_equal(read_at_once, pixels)
    if TABLED["made_with"] == HERE:
        assert digest(pixels) == TABLED["hashes"][name]


def test_the_table_has_every_file(files):
    assert set(files) == set(TABLED["hashes"])


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        hashes = {name: digest(read(path)) for name, path in cases(Path(folder))}
    sys.stdout.write(json.dumps({"made_with": HERE, "hashes": hashes}, indent=2) + "\n")
