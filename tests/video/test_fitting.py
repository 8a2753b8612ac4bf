# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from mugv_jax import video

WHITE = 255
TALL = np.full((2, 90, 40, 3), WHITE, np.uint8)  # a black square on white
TALL[:, 30:60, 5:35] = 0


def bounds(frame):
    """First and last row and column that are dark."""
    dark = np.argwhere(frame[..., 0] < 128)
    return *dark.min(axis=0), *dark.max(axis=0)


@pytest.mark.parametrize("size", [(60, 80), (90, 40), (33, 200), (200, 33), (180, 80)])
@pytest.mark.parametrize("how", video.FITS)
def test_a_fitted_frame_has_the_size(how, size):
    fitted = video.fit(TALL, *size, how)
    assert fitted.shape == (2, *size, 3)
    np.testing.assert_array_equal(fitted[0], fitted[1])
    if size == (90, 40):
        np.testing.assert_array_equal(fitted, TALL)


def test_pad_shows_all_of_a_picture_between_bars_of_its_background():
    fitted = video.fit(TALL[0], 45, 100, "pad")  # half the size, in the middle
    assert bounds(fitted) == (15, 43, 29, 56)
    assert (fitted[:, :40] == WHITE).all()
    assert (fitted[:, 60:] == WHITE).all()
    above = video.fit(np.swapaxes(TALL[0], 0, 1), 100, 45, "pad")
    np.testing.assert_array_equal(above, np.swapaxes(fitted, 0, 1))


def test_stretch_keeps_all_and_crop_cuts_evenly():
    assert bounds(video.fit(TALL[0], 30, 80, "stretch")) == (10, 10, 19, 69)
    cropped = video.fit(TALL[0], 40, 40, "crop")
    np.testing.assert_array_equal(cropped, TALL[0, 25:65])
    np.testing.assert_array_equal(video.fit(TALL[0], 40, 40), cropped)


@pytest.mark.parametrize(
    ("size", "lost"), [((90, 40), 0), ((40, 40), 5 / 9), ((90, 20), 0.5), ((180, 80), 0)]
)
def test_the_share_that_is_cut_off(size, lost):
    assert video.lost_share(90, 40, *size) == pytest.approx(lost)


def test_another_way_is_refused():
    with pytest.raises(ValueError, match="fit='squeeze' must be one of crop, pad, stretch"):
        video.fit(TALL, 8, 8, "squeeze")
