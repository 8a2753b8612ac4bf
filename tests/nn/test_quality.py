# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import os

import jax.numpy as jnp
import numpy as np
import pytest
import skimage
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from mugv_jax import video
from mugv_jax.nn.quality import psnr, ssim

CLOSE = 1e-5  # of single precision, for both
PHOTOS = {"astronaut.png": (96, 80), "coffee.png": (101, 77), "rocket.jpg": (64, 111)}


def distorted(name, height, width):
    """A photo of scikit-image at a size, and the same brighter, with noise and clipped."""
    photo = Image.open(os.path.join(skimage.data_dir, name)).convert("RGB").resize((width, height))
    x = np.asarray(photo)
    noise = np.random.default_rng(0).normal(8, 20, x.shape)
    return x, np.clip(x + noise, 0, 255).round().astype(np.uint8)


def both(x, y):
    """(PSNR, SSIM) of two frames (h w 3) in [0, 255]."""
    x, y = (jnp.asarray(video.to_pixels(each[None, None])) for each in (x, y))
    return float(psnr(x, y)[0, 0]), float(ssim(x, y)[0, 0])


@pytest.mark.parametrize(("name", "sides"), PHOTOS.items())
def test_both_are_those_of_scikit_image(name, sides):
    x, y = distorted(name, *sides)
    expected = structural_similarity(
        x, y, data_range=255, channel_axis=-1, gaussian_weights=True, sigma=1.5,
        use_sample_covariance=False,
    )  # fmt: skip
    found = both(x, y)
    assert found[0] == pytest.approx(peak_signal_noise_ratio(x, y, data_range=255), abs=CLOSE)
    assert found[1] == pytest.approx(expected, abs=CLOSE)


def test_frames_and_clips_are_measured_each_for_itself():
    x, y = (np.stack(each) for each in zip(*[distorted(n, 32, 40) for n in PHOTOS]))
    pair = (jnp.asarray(video.to_pixels(each)).reshape(3, 1, 32, 40, 3) for each in (x, y))
    expected = [both(a, b)[1] for a, b in zip(x, y)]
    np.testing.assert_allclose(np.ravel(ssim(*pair)), expected, atol=CLOSE)


def test_equal_frames():
    x = jnp.asarray(video.to_pixels(distorted("coffee.png", 24, 32)[0][None, None]))
    np.testing.assert_allclose(ssim(x, x), 1, atol=1e-5)
    np.testing.assert_allclose(psnr(x, x), 120, atol=1e-3)


def test_a_frame_smaller_than_the_window_is_refused():
    with pytest.raises(ValueError, match="frames of 16x8 pixels: at least 11"):
        ssim(jnp.zeros((1, 1, 8, 16, 3)), jnp.zeros((1, 1, 8, 16, 3)))
