# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import itertools
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from mugv_jax import video
from mugv_jax.data.bad_sample import BadSample
from mugv_jax.data.clips import ClipRule, fit_size, read_clip
from mugv_jax.data.part import Part
from tests.data.real_clips import real_clip
from tests.video.numbered import numbered, numbers, write_timed

FRAMES = 40
RULE = ClipRule(fps=30, size=(32, 32), max_frames=33)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("clips") / "numbered.mp4"
    video.write_video(path, numbered(), 30)
    return path


@pytest.mark.parametrize("fps", [24, 15, 10, 7.5, 29.97])
def test_frames_are_those_shown_at_the_times_asked_for(fps, clip):
    frames, rate = read_clip(clip, RULE, fps)
    exact = Fraction(fps).limit_denominator(1001)
    assert rate == float(exact)
    shown = [int(number / exact * 30) for number in range(FRAMES) if number / exact * 30 < FRAMES]
    length = min((len(shown) - 1) // 8 * 8 + 1, RULE.max_frames)
    assert numbers(frames) == shown[:length]


def test_a_slower_video_keeps_its_rate_and_repeats_nothing(clip):
    frames, fps = read_clip(clip, RULE, 60)
    assert fps == 30
    assert numbers(frames) == list(range(33))


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".ts", ".webm"])
def test_a_part_is_the_frames_of_its_time(suffix, tmp_path):
    codec = {".avi": "mpeg4", ".webm": "libvpx-vp9"}.get(suffix, "libx264")
    path = tmp_path / f"long{suffix}"
    with av.open(path, "w") as file:
        stream = file.add_stream(codec, rate=25)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        stream.gop_size = 12
        for frame in [*numbered(), *numbered()[::-1], *numbered()]:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(frame)))
        file.mux(stream.encode(None))
    every = numbers(video.read_video(path).frames)
    for first, last in ((0, 9), (3, 20), (30, 47), (61, 100), (103, 120)):
        part = Part(start_s=first / 25, end_s=last / 25, crop=(0, 0, 64, 64))
        with video.decoding(path, start_s=part.start_s, end_s=part.end_s) as (_, decoded, rgb):
            assert numbers(np.stack([rgb(frame) for frame in decoded])) == every[first:last]
        count = (last - first - 1) // 8 * 8 + 1
        assert numbers(read_clip(path, RULE, 25, part).frames) == every[first : first + count]
    with pytest.raises(BadSample, match="is not inside of a frame of 64x64 pixels"):
        read_clip(path, RULE, 25, Part(crop=(0, 0, 64, 65)))
    with pytest.raises(BadSample, match=r"has no frame in 90 s to 95 s: it lasts \d+\.\d\d s\."):
        read_clip(path, RULE, 25, Part(start_s=90.0, end_s=95.0))


def test_times_count_where_the_rate_varies(tmp_path):
    # Ten frames a second, then thirty; shown at 15 per second some are shown twice, some never.
    times = [*range(0, 1000, 100), *(1000 + round(1000 * n / 30) for n in range(30))]
    path = write_timed(tmp_path / "varying.mkv", times, 30)
    frames, rate = read_clip(path, RULE, 15)
    assert rate == 15
    expected = [
        max(number for number, time in enumerate(times) if time <= 1000 * k / 15 + 1)
        for k in range(len(frames))
    ]
    assert numbers(frames) == expected
    assert any(a == b for a, b in itertools.pairwise(expected))


@pytest.mark.parametrize("rate", [Fraction(30), Fraction(24000, 1001)])
def test_clocks_of_milliseconds_shift_no_frame(rate, tmp_path):
    times = [round(1000 * number / rate) for number in range(FRAMES)]
    path = write_timed(tmp_path / "clip.mkv", times, rate)
    frames, _ = read_clip(path, RULE, 60)
    assert numbers(frames) == list(range(33))


def test_times_need_not_begin_at_zero(tmp_path):
    path = write_timed(tmp_path / "late.mkv", range(5000, 5000 + 40 * 25, 40), 25)
    frames, fps = read_clip(path, RULE, 12.5)
    assert fps == 12.5
    assert numbers(frames) == list(range(0, 18, 2))


def test_a_video_of_one_frame_is_a_picture(tmp_path):
    for name, frames in (("one.mkv", 1), ("two.mkv", 2)):
        video.write_video(tmp_path / name, numbered()[5 : 5 + frames], 30)
    frames, fps = read_clip(tmp_path / "one.mkv", RULE, 12)
    assert (numbers(frames), fps) == ([5], 12)
    with pytest.raises(BadSample, match="has 2 frames at 30 per second; at least 9"):
        read_clip(tmp_path / "two.mkv", RULE)


@pytest.mark.parametrize("fps", [1e-9, 1e-4])
def test_a_rate_next_to_nothing_takes_one_frame(fps, clip):
    with pytest.raises(BadSample, match="has 1 frames at"):
        read_clip(clip, RULE, fps)
    assert len(read_clip(clip, ClipRule(fps=fps, size=(32, 32), max_frames=1)).frames) == 1


def test_a_clock_as_coarse_as_the_frames_shifts_none(tmp_path):
    # AVI: one tick is one frame, too much of a tolerance for the next frame.
    with av.open(tmp_path / "clip.avi", "w") as container:
        stream = container.add_stream("mpeg4", rate=25, options={"qscale": "1"})
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        for pixels in numbered():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    frames, fps = read_clip(tmp_path / "clip.avi", RULE, 24)
    assert fps == 24
    assert numbers(frames) == [number * 25 // 24 for number in range(33)]


@pytest.mark.parametrize("fps", [25, 10])
def test_a_real_clip_is_read_at_its_times(fps):
    whole = video.read_video(real_clip("bikes.mp4"), max_frames=90).frames
    rule = ClipRule(fps=fps, size=(640, 272), max_frames=33)
    frames, rate = read_clip(real_clip("bikes.mp4"), rule)
    assert rate == fps
    assert len(frames) == 33
    expected = [whole[int(number * 25 / fps)] for number in range(33)]
    np.testing.assert_array_equal(frames, expected)


@pytest.mark.parametrize(
    ("max_frames", "frames"), [(105, 33), (33, 33), (32, 25), (17, 17), (9, 9), (8, 1), (1, 1)]
)
def test_a_clip_is_the_longest_8k_plus_1(max_frames, frames, clip):
    rule = ClipRule(fps=30, size=(32, 32), max_frames=max_frames)
    assert len(read_clip(clip, rule).frames) == frames


def test_frames_cover_the_size_and_the_overhang_is_cut(tmp_path):
    picture = np.zeros((100, 300, 3), np.uint8)
    picture[:, 100:200] = 255
    Image.fromarray(picture).save(tmp_path / "wide.png")
    frames, fps = read_clip(tmp_path / "wide.png", ClipRule(size=(64, 64)))
    assert (frames.shape, fps) == ((1, 64, 64, 3), 24.0)
    assert frames[:, :, 2:-2].min() > 250  # the middle third; bicubic rings at its borders
    frames, _ = read_clip(tmp_path / "wide.png", ClipRule(pixels=10_000))
    assert frames.shape == (1, 48, 160, 3)


@pytest.mark.parametrize(
    ("source", "pixels", "size"),
    [
        ((1920, 1080), 1280 * 720, (1280, 720)),
        ((1080, 1920), 1280 * 720, (720, 1280)),
        ((640, 360), 1280 * 720, (640, 352)),  # never enlarged
        ((1000, 1000), 960 * 960, (960, 960)),
        ((4000, 16), 10_000, (624, 16)),
        ((20, 20), 10_000, (16, 16)),
    ],
)
def test_sizes_fit_the_budget_and_keep_the_shape(source, pixels, size):
    assert fit_size(*source, pixels) == size


def test_sizes_of_a_budget_lie_on_the_grid_below_it():
    for width, height in itertools.product(range(100, 3000, 173), repeat=2):
        w, h = fit_size(width, height, 300_000)
        assert w % 16 == h % 16 == 0
        assert w * h <= min(300_000, width * height)
        assert w <= width + 16
        assert h <= height + 16


@pytest.mark.parametrize("kind", ["webp", "gif", "png"])
def test_an_animated_picture_is_a_clip_and_a_still_one_a_picture(kind, tmp_path):
    first, *others = (Image.fromarray(frame) for frame in numbered(20))
    path, options = tmp_path / f"moving.{kind}", {"lossless": True} if kind == "webp" else {}
    first.save(path, save_all=True, append_images=others, duration=40, **options)
    frames, fps = read_clip(path, RULE, 12.5)
    assert fps == 12.5
    assert numbers(frames) == list(range(0, 18, 2))
    first.save(path, **options)
    assert numbers(read_clip(path, RULE).frames) == [0]


def test_files_that_cannot_be_used_are_bad_samples(clip, tmp_path):
    whole = clip.read_bytes()
    (tmp_path / "half.mp4").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "text.png").write_text("no picture")
    video.write_video(tmp_path / "short.mp4", numbered(8), 30)
    reasons = {
        "half.mp4": "is damaged",
        "text.mp4": "is damaged or no video",
        "text.png": "cannot be opened",
        "missing.mp4": "does not exist",
        "short.mp4": "has 8 frames at 30 per second; at least 9",
    }
    for name, reason in reasons.items():
        with pytest.raises(BadSample, match=reason) as caught:
            read_clip(tmp_path / name, RULE)
        assert name in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"fps": 0, "pixels": 9999}, "fps=0"),
        ({"fps": float("nan"), "pixels": 9999}, "fps=nan"),
        ({}, "one of size and pixels"),
        ({"size": (32, 32), "pixels": 9999}, "one of size and pixels"),
        ({"pixels": 255}, "pixels=255 must be at least 256"),
        ({"size": (40, 32)}, "multiples of 16"),
        ({"size": (0, 32)}, "multiples of 16"),
        ({"size": (16_000, 32)}, "up to 6144"),
        ({"pixels": 9999, "max_frames": 0}, "max_frames=0"),
    ],
)
def test_rules_out_of_range_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        ClipRule(**fields)
