# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Faults over time: what a fault does to its score, and that other motion leaves it alone."""

import functools

import av
import numpy as np
import pytest

from mugv_jax import config as configs
from mugv_jax import video
from mugv_jax.curate.frames import shrunk
from mugv_jax.curate.stages.steadiness import Steadiness, longest_run, median_bend, places
from mugv_jax.video.optical_flow import luma
from tests.data.real_clips import real_clip

SCORES = ("freeze", "repeated", "flicker", "shake")
NOISE = 0.3  # of 255: what codecs leave of it


@functools.cache
def bikes() -> np.ndarray:
    """A shot that moves (f h w 3), 46 frames."""
    frames = video.read_video(real_clip("bikes.mp4")).frames[30:76]
    return np.stack([shrunk(frame, 64) for frame in frames])


def scores(frames: np.ndarray, noise: float = NOISE) -> dict[str, float]:
    errors = np.random.default_rng(0).normal(0, noise, (*frames.shape[:3], 1))
    small = np.clip(np.rint(frames + errors), 0, 255).astype(np.uint8)
    (row,) = Steadiness()([{"small_frames": small}])
    return {name: row[name] for name in SCORES}


def limits() -> dict[str, float]:
    """Thresholds of the default config."""
    thresholds = configs.read("curate/default").thresholds
    return {name: thresholds[name].high for name in SCORES if name in thresholds}


def moved(frames: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Frames, each moved by whole pixels (rows, columns) around the picture's edges."""
    return np.stack([np.roll(a, tuple(b), (0, 1)) for a, b in zip(frames, steps, strict=True)])


def fault(name: str) -> np.ndarray:
    """The shot with a fault, as numbers of 0 to 255."""
    rng, count = np.random.default_rng(1), len(bikes())
    if name == "freeze":  # for 27 of 46 frames
        return bikes()[np.concatenate([np.arange(10), np.full(26, 10), np.arange(10, 20)])]
    if name == "flicker":
        gain = 1 + 0.15 * rng.choice([-1, 1], count)
        return bikes() * gain[:, None, None, None]
    return moved(bikes(), rng.integers(-4, 5, (count, 2)))


@pytest.mark.parametrize("name", ["freeze", "flicker", "shake"])
def test_a_fault_goes_beyond_its_threshold_and_no_other(name):
    found = scores(fault(name))
    assert {each for each, limit in limits().items() if found[each] > limit} == {name}


@pytest.mark.parametrize(
    "change",
    [
        lambda frames: frames,
        lambda frames: moved(frames, 2 * np.arange(len(frames))[:, None] * (0, 1)),
        lambda frames: frames * np.linspace(1, 0.3, len(frames))[:, None, None, None],
    ],
    ids=["as it is", "panned", "darker and darker"],
)
def test_a_sound_shot_stays_below_all_thresholds(change):
    found = scores(change(bikes()))
    assert {each for each, limit in limits().items() if found[each] > limit} == set()


def test_share_of_a_freeze():
    """27 frames alike have 26 of the 45 changes."""
    assert scores(fault("freeze"))["freeze"] == 26 / 45


def encoded(frames: np.ndarray, path) -> np.ndarray:
    """Frames as a streaming service sends them: with few bits and a keyframe every half second."""
    with av.open(path, "w") as file:
        stream = file.add_stream("libx264", rate=25, options={"crf": "33", "g": "12"})
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "yuv420p"
        for frame in frames:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(frame)))
        file.mux(stream.encode(None))
    return np.stack([shrunk(frame, 64) for frame in video.read_video(path).frames])


def test_keyframes_do_not_end_a_freeze_and_slow_motion_is_none(tmp_path):
    picture = video.read_video(real_clip("bikes.mp4")).frames[40]
    frozen = encoded(np.stack([picture] * 40), tmp_path / "frozen.mp4")
    changes = np.abs(np.diff(luma_of(frozen), axis=0)).mean((1, 2))
    assert (changes > Steadiness().still).sum() == 3  # keyframes 12, 24 and 36
    assert scores(frozen, noise=0.0)["freeze"] == 1
    # Moved by two pixels every eighth frame: as still between as the other, and going somewhere.
    slow = np.stack([picture[:, 2 * (i // 8) :][:, :600] for i in range(40)])
    assert scores(np.stack([shrunk(each, 64) for each in slow]), noise=0.0)["freeze"] < 0.45


def test_a_low_rate_stored_as_a_higher_one_repeats_frames():
    """One repeated frame is the longest run, which is no repetition."""
    found = scores(np.repeat(bikes()[:23], 2, axis=0))
    assert (found["freeze"], found["repeated"]) == (1 / 45, 22 / 45)


def test_a_steady_pan_is_followed_in_pixels():
    grey = luma_of(moved(bikes()[:1].repeat(9, axis=0), np.arange(9)[:, None] * (1, -2)))
    steps = np.diff(places(grey), axis=0)
    assert np.allclose(steps, (-2, 1), atol=0.1)  # x before y; the edges, which wrap, disturb
    assert median_bend(places(grey)) < 0.1


def luma_of(frames: np.ndarray) -> np.ndarray:
    return np.stack([luma(frame) for frame in frames]).astype(np.float32)


@pytest.mark.parametrize("count", [2, 9])
def test_black_frames_have_numbers_too(count):
    found = scores(np.zeros((count, 36, 64, 3)), noise=0.0)
    assert found == {"freeze": 1.0, "repeated": 0.0, "flicker": 0.0, "shake": 0.0}


def test_runs_and_bends():
    assert longest_run(np.array([0, 1, 1, 0, 1], bool)) == 2
    assert longest_run(np.zeros(3, bool)) == 0
    assert median_bend(np.array([[0.0], [2.0], [0.0], [2.0]])) == 2
    assert median_bend(np.array([[0.0], [2.0]])) == 0
