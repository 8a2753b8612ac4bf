# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""LPIPS v0.1: perceptual distance of two pictures by features of VGG16 (arXiv:1801.03924).

    d(x, y) = sum_l mean_hw sum_c w_lc (u_lhwc(x) - u_lhwc(y))^2,   u = g / |g|_c

g_l are the features of VGG16 (arXiv:1409.1556; configuration D) after the last ReLU of stage l of
five, and w_l >= 0 are weights learnt from human judgements. Pixels in [-1, 1] are first shifted and
scaled to the range on which VGG16 was trained.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from mugv_jax.axes import Array, Float
from mugv_jax.nn.conv import Conv2d
from mugv_jax.nn.layers import match_rank, partitioned

# Widths of the 3x3 convolutions of each stage; every stage after the first halves the picture.
STAGES = ((64, 64), (128, 128), (256,) * 3, (512,) * 3, (512,) * 3)
LEAST_PX = 2 ** (len(STAGES) - 1)
# Mean and deviation of ImageNet's colours, for pixels in [-1, 1] (published `ScalingLayer`).
SHIFT = (-0.030, -0.088, -0.188)
SCALE = (0.458, 0.448, 0.450)
LEAST_NORM = 1e-10  # of the feature vector at one position

Pictures = Float[Array, "b _h _w 3"]
Features = Float[Array, "b _h _w _c"]


class Vgg16(nn.Module):
    """Features of VGG16's five stages, the largest picture first."""

    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: Pictures) -> tuple[Features, ...]:
        features = []
        for stage, widths in enumerate(STAGES):
            if stage:
                x = nn.max_pool(x, (2, 2), (2, 2))
            for i, width in enumerate(widths):
                conv = Conv2d(width, dtype=self.dtype, name=f"stage_{stage}_conv_{i}")
                x = nn.relu(conv(x))
            features.append(x)
        return tuple(features)


class Lpips(nn.Module):
    """Distance of two pictures in [-1, 1], 0 for equal ones; float32 except the convolutions.

    Raises:
        ValueError: a side of the pictures is below LEAST_PX.
    """

    dtype: DTypeLike

    def setup(self):
        init = partitioned(nn.initializers.ones, "conv_in")
        self.vgg = Vgg16(self.dtype)
        self.linear = [
            self.param(f"linear_{stage}", init, (widths[-1],))
            for stage, widths in enumerate(STAGES)
        ]

    def __call__(self, x: Pictures, y: Pictures) -> Float[Array, "b"]:
        means = [jnp.mean(each, axis=(1, 2)) for each in self.maps(x, y)]
        return jnp.sum(jnp.stack(means), axis=0)

    def maps(self, x: Pictures, y: Pictures) -> tuple[Float[Array, "b _h _w"], ...]:
        """Distance at every position of each stage; d is the sum of their means."""
        height, width = x.shape[1:3]
        if min(height, width) < LEAST_PX:
            raise ValueError(
                f"LPIPS of pictures of {width}x{height} pixels: at least {LEAST_PX} a side are "
                "needed."
            )
        # Two calls, not one batch: if x needs no gradient, its features are not kept for one.
        features = self.vgg(_scaled(x)), self.vgg(_scaled(y))
        return tuple(
            jnp.square(_unit(g_x) - _unit(g_y)) @ weight.astype(jnp.float32)
            for weight, g_x, g_y in zip(self.linear, *features)
        )


def _scaled(x: Pictures) -> Pictures:
    shift, scale = (match_rank(jnp.asarray(each, x.dtype), x) for each in (SHIFT, SCALE))
    return (x - shift) / scale


def _unit(g: Features) -> Features:
    """g / |g|; where all features are 0, both the result and its gradient are 0."""
    square = jnp.sum(jnp.square(g), axis=-1, keepdims=True)
    return g * jax.lax.rsqrt(jnp.maximum(square, LEAST_NORM**2))
