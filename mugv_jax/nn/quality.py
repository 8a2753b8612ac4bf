# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Reconstruction quality metrics PSNR and SSIM, per frame.

    PSNR = 10 log10(R^2 / mean (x - y)^2)
    SSIM = mean (2 mx my + c1) (2 sxy + c2) / ((mx^2 + my^2 + c1) (sx^2 + sy^2 + c2))

x and y are pixels in [0, 1], R = 1 is their range, c1 = (0.01 R)^2, c2 = (0.03 R)^2; arguments in
[-1, 1] are moved there, because SSIM depends on where black lies. Means m and (co)variances s are
computed per colour channel under a Gaussian window of 11 x 11 pixels with standard deviation 1.5,
without padding (Wang et al. 2004; DOI 10.1109/TIP.2003.819861). scikit-image has the same values
with `gaussian_weights=True, sigma=1.5, use_sample_covariance=False`.
"""

import functools
from collections.abc import Iterable

import einops
import jax.numpy as jnp
import numpy as np

from mugv_jax.axes import Array, Float, Pixels

RANGE = 2.0  # of arguments
RADIUS, DEVIATION = 5, 1.5
WINDOW_PX = 2 * RADIUS + 1

PerFrame = Float[Array, "b f"]


def psnr(x: Pixels, y: Pixels) -> PerFrame:
    """PSNR in decibels, at most 120 (identical frames)."""
    error = jnp.mean(jnp.square(x - y), axis=(2, 3, 4))
    return 10 * jnp.log10(RANGE**2 / jnp.maximum(error, RANGE**2 * 1e-12))


def ssim(x: Pixels, y: Pixels) -> PerFrame:
    """SSIM; 1 for identical frames.

    Raises:
        ValueError: frames smaller than the window.
    """
    frames, height, width = x.shape[1:4]
    if min(height, width) < WINDOW_PX:
        raise ValueError(
            f"SSIM of frames of {width}x{height} pixels: at least {WINDOW_PX} a side are needed."
        )
    x, y = (einops.rearrange((each + 1) / RANGE, "b f h w c -> (b f c) h w") for each in (x, y))
    # Variances are differences of means, so those of values around 0 are rounded least.
    centre = jnp.mean(x, axis=(1, 2), keepdims=True)
    x, y = x - centre, y - centre
    mean_x, mean_y = _smooth(x), _smooth(y)
    variance = _smooth(jnp.square(x)) - jnp.square(mean_x)
    variance += _smooth(jnp.square(y)) - jnp.square(mean_y)
    covariance = _smooth(x * y) - mean_x * mean_y
    mean_x, mean_y = mean_x + centre, mean_y + centre
    c1, c2 = 0.01**2, 0.03**2
    top = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    bottom = (jnp.square(mean_x) + jnp.square(mean_y) + c1) * (variance + c2)
    return einops.reduce(top / bottom, "(b f c) h w -> b f", "mean", f=frames, c=3)


def _smooth(x: Float[Array, "n h w"]) -> Float[Array, "n _h _w"]:
    """Gaussian-window means, as sums of shifted pictures: a convolution is far slower on a CPU."""
    taps = np.exp(-0.5 * (np.arange(-RADIUS, RADIUS + 1) / DEVIATION) ** 2)
    taps = (taps / taps.sum()).tolist()
    height, width = (side - 2 * RADIUS for side in x.shape[1:])
    x = _total(tap * x[:, start : start + height] for start, tap in enumerate(taps))
    return _total(tap * x[:, :, start : start + width] for start, tap in enumerate(taps))


def _total(parts: Iterable[Array]) -> Array:
    return functools.reduce(jnp.add, parts)
