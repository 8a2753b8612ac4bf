# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Pixels that are not square."""

from fractions import Fraction

import av
import numpy as np
import pytest

from mugv_jax import video
from mugv_jax.data.clips import ClipRule, read_clip
from tests.video.made import tagged, write_frames

TALL = [0, 1 << 16, 0, -1 << 16, 0, 0, 96 << 16, 0, 1 << 30]  # turned by a quarter


def disc(height, width, aspect):
    """A white disc on black, as stored in pixels of this aspect."""
    y, x = np.mgrid[:height, :width]
    aspect = float(aspect)
    x = (x + 0.5 - width / 2) * aspect
    y = y + 0.5 - height / 2
    inside = np.hypot(x, y) < min(height, width * aspect) / 3
    return np.where(inside, 255, 0).astype(np.uint8)[..., None].repeat(3, axis=-1)


def extent(picture):
    """(height, width) of what is white."""
    white = picture[..., 0] > 127
    return white.any(axis=1).sum(), white.any(axis=0).sum()


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".avi", ".ts"])
@pytest.mark.parametrize("aspect", [Fraction(2), Fraction(1, 2), Fraction(8, 9)])
def test_squeezed_frames_become_square_in_every_reader(aspect, suffix, tmp_path):
    frame = tagged(disc(96, 96, aspect), "yuv420p", matrix=1)
    codec = "mpeg4" if suffix == ".avi" else "libx264"
    path = write_frames(tmp_path / f"clip{suffix}", [frame] * 9, codec, pixel_aspect=aspect)
    frames = video.read_video(path).frames
    wide = (round(96 * max(aspect, 1)), round(96 * max(1 / aspect, 1)))
    assert frames.shape == (9, *wide[::-1], 3)
    height, width = extent(frames[0])
    assert abs(height - width) <= 2
    clip = read_clip(path, ClipRule(pixels=96 * 192)).frames
    assert abs(np.subtract(*extent(clip[0]))) <= 3
    assert np.log(clip.shape[2] / clip.shape[1]) == pytest.approx(np.log(float(aspect)), abs=0.15)


@pytest.mark.parametrize("suffix", video.CONTAINERS)
@pytest.mark.parametrize("matrix", [None, TALL], ids=["level", "turned"])
def test_a_stream_keeps_its_aspect_and_a_writer_writes_it(matrix, suffix, tmp_path):
    frame = tagged(disc(96, 96, Fraction(2)), "yuv420p", matrix=1)
    path = write_frames(tmp_path / "in.mp4", [frame] * 3, pixel_aspect=2, matrix=matrix)
    aspect = Fraction(2) if matrix is None else Fraction(1, 2)
    written = tmp_path / f"out{suffix}"
    with video.open_frames(path) as stream:
        assert (stream.size, stream.pixel_aspect) == ((96, 96), aspect)
        with video.writing(written, stream.fps, pixel_aspect=stream.pixel_aspect) as write:
            for pixels in stream.frames:
                write(pixels[None])
    with av.open(written) as container:
        assert container.streams.video[0].sample_aspect_ratio == aspect
    assert video.read_video(written).frames.shape == video.read_video(path).frames.shape
    assert abs(np.subtract(*extent(video.read_video(written).frames[0]))) <= 2


def test_an_aspect_that_makes_frames_too_large_is_refused(tmp_path):
    frame = tagged(np.zeros((1000, 1600, 3), np.uint8), "yuv420p", matrix=1)
    path = write_frames(tmp_path / "in.mp4", [frame], pixel_aspect=Fraction(100))
    with pytest.raises(ValueError, match=r"aspect 100:1.* 160000x1000, more than 150 million"):
        video.read_video(path)
