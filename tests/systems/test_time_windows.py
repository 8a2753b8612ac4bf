# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import itertools

import numpy as np
import pytest

from mugv_jax.systems.time_windows import Window, joined, windows_of


def video(frames, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (frames, 3, 4, 3), np.uint8)


@pytest.mark.parametrize(
    ("frames", "span", "overlap", "starts"),
    [
        (5, 9, 4, [0]),
        (9, 9, 4, [0]),
        (10, 9, 4, [0, 1]),
        (14, 9, 4, [0, 5]),
        (21, 9, 4, [0, 5, 10, 12]),
        (1, 1, 0, [0]),
        (3, 1, 0, [0, 1, 2]),
        (20, 9, 0, [0, 9, 11]),
    ],
)
def test_windows_cover_a_video_and_join_to_it_again(frames, span, overlap, starts):
    x = video(frames)
    windows = list(windows_of(iter(x), span, overlap))
    assert [window.start for window in windows] == starts
    for window in windows:
        assert len(window.frames) == min(span, frames)
        np.testing.assert_array_equal(window.frames, x[window.start :][:span])
    np.testing.assert_array_equal(np.concatenate(list(joined(windows))), x)


def test_shared_frames_go_over_from_one_window_to_the_next():
    first, second = (Window(s, np.full((8, 1, 1, 3), v, np.uint8)) for s, v in ((0, 100), (4, 180)))
    made = np.concatenate(list(joined([first, second])))[:, 0, 0, 0]
    assert made.tolist() == [100] * 4 + [100, 120, 140, 160] + [180] * 4


def test_a_window_comes_as_soon_as_its_frames_are_there():
    frames = iter(video(20))
    windows = windows_of(frames, 9, 4)
    next(windows)
    assert len(list(frames)) == 11
    made = joined(itertools.chain([Window(0, video(9)), Window(5, video(9))], _fails()))
    assert len(next(made)) == 5


def _fails():
    raise AssertionError("asked for too early")
    yield


@pytest.mark.parametrize("overlap", [-1, 5])
def test_windows_that_would_not_advance_are_refused(overlap):
    with pytest.raises(ValueError, match=rf"overlap={overlap} must lie in 0 to 4"):
        next(windows_of(iter(video(3)), 9, overlap))


def test_a_video_without_frames_is_refused():
    with pytest.raises(ValueError, match="no frames"):
        next(windows_of(iter(()), 9, 4))
