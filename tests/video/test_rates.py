# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Videos that are read at another rate than their own."""

import logging
from fractions import Fraction

import numpy as np
import pytest

from mugv_jax import video
from tests.video.numbered import numbered, numbers, write_timed

FAST_MS = [round(1000 * number / 60) for number in range(40)]
VARYING_MS = [*range(0, 1000, 100), *(1000 + round(1000 * n / 30) for n in range(30))]


def shown(times_ms, at_ms):
    """The frame that is shown at a time: the last that is not later, up to a millisecond."""
    return max(number for number, time in enumerate(times_ms) if time <= at_ms + 1)


@pytest.mark.parametrize(
    ("times_ms", "rate", "has"),
    [
        (FAST_MS, 60, "has 60 frames per second"),
        (range(0, 4000, 100), 10, "has 10 frames per second"),
        (VARYING_MS, 30, "has a variable frame rate"),
        (range(5000, 6600, 40), 25, "has 25 frames per second"),
    ],
    ids=["fast", "slow", "varying", "late"],
)
@pytest.mark.parametrize("fps", [20, 24])
def test_frames_are_those_shown_at_the_times_asked_for(times_ms, rate, has, fps, tmp_path, caplog):
    path = write_timed(tmp_path / "clip.mkv", times_ms, rate)
    start, end = times_ms[0], times_ms[-1]
    with caplog.at_level(logging.WARNING):
        first = video.read_video(path, max_frames=9, fps=fps)
        last = video.read_video(path, max_frames=9, fps=fps, from_end=True)
    assert first.fps == last.fps == fps
    assert numbers(first.frames) == [shown(times_ms, start + 1000 * k / fps) for k in range(9)]
    assert numbers(last.frames) == [shown(times_ms, end - 1000 * k / fps) for k in range(8, -1, -1)]
    (note,) = [each.getMessage() for each in caplog.records]
    assert note.startswith(f"{str(path)!r} {has}")
    assert f"taken by their times at {fps} per second, the rate asked for" in note


def test_a_video_of_sixty_frames_a_second_lasts_as_long_at_twenty(tmp_path):
    path = tmp_path / "clip.mp4"
    video.write_video(path, numbered(), 60)
    frames = video.read_video(path, fps=20).frames
    assert numbers(frames) == list(range(0, 40, 3))
    last = video.read_video(path, max_frames=5, from_end=True, fps=20).frames
    assert numbers(last) == [27, 30, 33, 36, 39]
    assert len(video.read_video(path, max_frames=99, from_end=True, fps=20).frames) == 14


@pytest.mark.parametrize(
    ("rate", "fps"),
    [(Fraction(30000, 1001), 30), (Fraction(30000, 1001), 29.97), (24, 23.976), (20, 20)],
)
def test_at_its_own_rate_every_frame_comes_once(rate, fps, tmp_path, caplog):
    path = tmp_path / "clip.mkv"
    video.write_video(path, numbered(), rate)
    with caplog.at_level(logging.WARNING):
        for options in ({}, {"max_frames": 40, "from_end": True}):
            assert numbers(video.read_video(path, fps=fps, **options).frames) == list(range(40))
    assert not caplog.records


def test_a_clock_that_jitters_repeats_no_frame(tmp_path):
    late = np.random.default_rng(0).integers(-9, 10, 40)  # ms; a quarter of a frame is 10
    times = [40 * number + 9 + int(each) for number, each in enumerate(late)]
    path = write_timed(tmp_path / "camera.mkv", times, 25)
    assert numbers(video.read_video(path, fps=25).frames) == list(range(40))


@pytest.mark.parametrize("hours", [1, 24])
def test_a_frame_in_hours_is_a_rate(hours, tmp_path):
    path = write_timed(tmp_path / "slow.mkv", [3_600_000 * hours * n for n in range(3)], 1)
    with video.open_frames(path) as stream:
        assert float(1 / stream.fps) == pytest.approx(3600 * hours, rel=1e-3)
        assert len(list(stream.frames)) == 3
    assert numbers(video.read_video(path, fps=1, max_frames=5).frames) == [0] * 5
