# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Animated pictures: as videos where a video is expected, and their first frame as a picture."""

import struct
import zlib
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from mugv_jax import video
from tests.video.profiles import P3_XY, in_srgb, matrix_profile

LOSSLESS = {
    "webp": {"lossless": True},
    "gif": {},
    "png": {},
    "avif": {"quality": 100, "subsampling": "4:4:4"},
}
LEVELS = {"webp": 0, "gif": 0, "png": 0, "avif": 3}  # AVIF goes through YUV


def drawn(count=12):
    """Frames with a square that moves over two colours."""
    frames = np.full((count, 24, 40, 3), (200, 60, 30), np.uint8)
    for number, frame in enumerate(frames):
        frame[8:16, 2 * number : 2 * number + 8] = (20, 120, 10 * number)
    return frames


def animated(path, frames, duration, kind=None, **options):
    kind = kind or path.suffix[1:]
    first, *others = (Image.fromarray(frame) for frame in frames)
    first.save(path, format=kind, save_all=True, append_images=others, duration=duration,
               **LOSSLESS[kind], **options)  # fmt: skip
    return path


@pytest.mark.parametrize("kind", LOSSLESS)
def test_frames_come_with_their_times(kind, tmp_path):
    durations = [40, 80, 40, 120] * 3
    path = animated(tmp_path / f"moving.{kind}", drawn(), durations)
    times = [Fraction(sum(durations[:number]), 1000) for number in range(12)]
    read = list(video.timed_frames(path))
    assert [frame.time_s for frame in read] == times
    assert [frame.duration_s for frame in read] == [Fraction(each, 1000) for each in durations]
    np.testing.assert_allclose([f.pixels for f in read], drawn().astype(int), atol=LEVELS[kind])


@pytest.mark.parametrize("kind", LOSSLESS)
def test_an_animation_is_read_like_a_video(kind, tmp_path):
    path = animated(tmp_path / f"moving.{kind}", drawn(), 40)
    made = video.read_video(path, max_frames=5, from_end=True)
    assert made.fps == 25
    np.testing.assert_allclose(made.frames, drawn()[-5:].astype(int), atol=LEVELS[kind])
    with video.open_frames(path) as stream:
        assert (stream.fps, stream.size, stream.resampled) == (25, (40, 24), None)
        frames = np.stack(list(stream.frames))
    np.testing.assert_allclose(frames, drawn().astype(int), atol=LEVELS[kind])
    np.testing.assert_allclose(video.read_image(path), drawn()[0].astype(int), atol=LEVELS[kind])


def test_a_varying_rate_is_resampled_by_its_times(tmp_path):
    path = animated(tmp_path / "moving.webp", drawn(), [40] * 6 + [80] * 6)
    with video.open_frames(path) as stream:
        assert "variable frame rate" in stream.resampled
        assert stream.fps == Fraction(12, 1) / Fraction(720, 1000)
        frames = list(stream.frames)
    starts = np.cumsum([0] + [40] * 6 + [80] * 5)
    shown = [np.flatnonzero(starts <= 1000 * k / stream.fps)[-1] for k in range(12)]
    np.testing.assert_array_equal(frames, drawn()[shown])


def with_delays(path, delays):
    """Rewrites the delays of a PNG's frames as these fractions of a second."""
    content, at = bytearray(path.read_bytes()), 0
    for numerator, denominator in delays:
        at = content.index(b"fcTL", at + 1)
        content[at + 24 : at + 28] = struct.pack(">HH", numerator, denominator)
        content[at + 30 : at + 34] = struct.pack(">I", zlib.crc32(content[at : at + 30]))
    path.write_bytes(content)
    return path


def test_thirds_of_a_second_and_the_last_duration_are_exact(tmp_path):
    path = animated(tmp_path / "moving.png", drawn(4), 40)
    frames = list(video.timed_frames(with_delays(path, [(1, 30)] * 3 + [(1, 2)])))
    assert (frames[3].time_s, frames[3].duration_s) == (Fraction(1, 10), Fraction(1, 2))
    with video.open_frames(with_delays(path, [(1001, 30000)] * 4)) as stream:
        assert stream.fps == Fraction(30000, 1001)


@pytest.mark.parametrize(
    ("kind", "stated", "shown_ms"), [("gif", 0, 100), ("gif", 10, 100), ("webp", 0, 100),
                                     ("webp", 10, 10), ("gif", 20, 20), ("png", 0, 100)]
)  # fmt: skip
def test_frames_without_a_duration_last_as_in_browsers(kind, stated, shown_ms, tmp_path):
    path = animated(tmp_path / f"moving.{kind}", drawn(3), stated)
    durations = [frame.duration_s for frame in video.timed_frames(path)]
    assert durations == [Fraction(shown_ms, 1000)] * 3


def test_transparency_turns_and_profiles_are_as_in_pictures(tmp_path):
    clear = np.dstack([drawn()[0], np.zeros((24, 40), np.uint8)])
    clear[:, :20, 3] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    frames = [clear, clear[:, ::-1]]
    path = animated(tmp_path / "moving.webp", frames, 40, exif=exif, exact=True,
                    icc_profile=matrix_profile(P3_XY))  # fmt: skip
    for read, frame in zip(video.timed_frames(path), frames, strict=True):
        expected = np.where(frame[..., 3:] > 0, in_srgb(frame[..., :3], P3_XY), 255)
        np.testing.assert_allclose(read.pixels, np.rot90(expected, -1), atol=2)


def test_the_still_picture_beside_an_animation_is_no_frame_of_it(tmp_path):
    path = animated(tmp_path / "moving.png", drawn(4), 40, default_image=True)
    np.testing.assert_array_equal(video.read_image(path), drawn()[0])
    np.testing.assert_array_equal(video.read_video(path).frames, drawn()[1:4])


def test_what_moves_is_recognised_by_its_content(tmp_path):
    for kind, suffix in (("webp", ".jpg"), ("gif", ".mp4"), ("png", ".webp")):
        path = animated(tmp_path / f"moving{suffix}", drawn(), 40, kind=kind)
        assert not video.is_picture(path)
        assert len(video.read_video(path).frames) == 12
        Image.fromarray(drawn()[0]).save(path, format=kind)
        assert video.is_picture(path)
    assert video.is_picture(tmp_path / "missing.png")
    assert not video.is_picture(tmp_path / "missing.mp4")


@pytest.mark.parametrize("kind", ["webp", "gif", "png"])
def test_an_animation_that_is_cut_off_is_damaged(kind, tmp_path):
    noisy = np.random.default_rng(0).integers(0, 256, (12, 24, 40, 3), np.uint8)
    whole = animated(tmp_path / f"whole.{kind}", noisy, 40).read_bytes()
    path = tmp_path / f"half.{kind}"
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=f"half.{kind}' is damaged") as caught:
        video.read_video(path)
    assert "\n" not in str(caught.value)
