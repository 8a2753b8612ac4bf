# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import jax.numpy as jnp
import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from mugv_jax.train.vae.quality import psnr, ssim

SINGLE = 2e-4  # variances are differences of float32 means


@pytest.fixture(scope="module")
def pair():
    rng = np.random.default_rng(0)
    smooth = np.cumsum(rng.standard_normal((2, 3, 18, 24, 3)), axis=3).clip(-4, 4) / 4
    noisy = (smooth + 0.1 * rng.standard_normal(smooth.shape)).clip(-1, 1)
    return smooth.astype(np.float32), noisy.astype(np.float32)


def test_both_agree_with_scikit_image(pair):
    x, y = pair
    found = np.asarray(psnr(*map(jnp.asarray, pair))), np.asarray(ssim(*map(jnp.asarray, pair)))
    for b, f in np.ndindex(*x.shape[:2]):
        expected = peak_signal_noise_ratio(x[b, f], y[b, f], data_range=2)
        assert found[0][b, f] == pytest.approx(expected, rel=SINGLE)
        expected = structural_similarity(
            x[b, f].astype(np.float64), y[b, f].astype(np.float64), data_range=2, channel_axis=-1,
            gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
        )  # fmt: skip
        assert found[1][b, f] == pytest.approx(expected, rel=SINGLE)


def test_equal_frames(pair):
    x = jnp.asarray(pair[0])
    np.testing.assert_allclose(ssim(x, x), 1, atol=1e-5)
    np.testing.assert_allclose(psnr(x, x), 120, atol=1e-3)


def test_a_frame_smaller_than_the_window_is_refused():
    with pytest.raises(ValueError, match="frames of 16x8 pixels: at least 11"):
        ssim(jnp.zeros((1, 1, 8, 16, 3)), jnp.zeros((1, 1, 8, 16, 3)))
