# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Reconstruction quality metrics PSNR and SSIM, per frame.

    PSNR = 10 log10(R^2 / mean (x - y)^2)
    SSIM = mean (2 mx my + c1) (2 sxy + c2) / ((mx^2 + my^2 + c1) (sx^2 + sy^2 + c2))

R = 2 is the range of pixels in [-1, 1], c1 = (0.01 R)^2, c2 = (0.03 R)^2. Means m and (co)variances
s are computed per colour channel under a Gaussian window of 11 x 11 pixels with standard deviation
1.5, without padding (Wang et al. 2004; DOI 10.1109/TIP.2003.819861).
"""

import einops
import jax
import jax.numpy as jnp
import numpy as np

from mugv_jax.axes import Array, Float, Pixels

RANGE = 2.0
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
    c1, c2 = (0.01 * RANGE) ** 2, (0.03 * RANGE) ** 2
    mean_x, mean_y = _smooth(x), _smooth(y)
    product = mean_x * mean_y
    squares = jnp.square(mean_x), jnp.square(mean_y)
    variance = _smooth(jnp.square(x)) - squares[0] + _smooth(jnp.square(y)) - squares[1]
    covariance = _smooth(x * y) - product
    top = (2 * product + c1) * (2 * covariance + c2)
    bottom = (squares[0] + squares[1] + c1) * (variance + c2)
    return einops.reduce(top / bottom, "(b f) c h w -> b f", "mean", f=frames)


def _smooth(x: Pixels) -> Float[Array, "n c h w"]:
    """Gaussian-window means of every frame and colour channel."""
    taps = np.exp(-0.5 * (np.arange(-RADIUS, RADIUS + 1) / DEVIATION) ** 2)
    taps = jnp.asarray(taps / taps.sum(), jnp.float32)
    x = einops.rearrange(x, "b f h w c -> (b f c) h w 1")
    for kernel in (taps[:, None, None, None], taps[None, :, None, None]):
        x = jax.lax.conv_general_dilated(
            x, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"),
            precision=jax.lax.Precision.HIGHEST,  # variances are differences of close values
        )  # fmt: skip
    return einops.rearrange(x, "(n c) h w 1 -> n c h w", c=3)
