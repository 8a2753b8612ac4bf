# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from mugv_jax import video


def test_frames_and_pixels_are_inverse():
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, axis=-1)
    pixels = video.to_pixels(levels)
    assert pixels.dtype == np.float32
    assert (pixels.min(), pixels.max()) == (-1, 1)
    np.testing.assert_array_equal(video.to_frames(pixels), levels)
    np.testing.assert_array_equal(video.to_frames(pixels * 1.5).ravel()[[0, -1]], [0, 255])
    with pytest.raises(ValueError, match="hold NaN"):
        video.to_frames(np.full((1, 2, 2, 3), np.nan, np.float32))


def test_two_videos_stand_side_by_side():
    left = np.arange(2 * 4 * 6 * 3, dtype=np.uint8).reshape(2, 4, 6, 3)
    both = video.side_by_side(left, left[::-1])
    assert both.shape[2] % 2 == 0
    np.testing.assert_array_equal(both[:, :, :6], left)
    np.testing.assert_array_equal(both[:, :, -6:], left[::-1])
    assert (both[:, :, 6:-6] == 255).all()
