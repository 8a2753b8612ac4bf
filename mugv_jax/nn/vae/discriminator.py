# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Discriminator, or critic, of the VAE's last training phase: is a patch of a video real?

A fully convolutional patch classifier (arXiv:1611.07004) over frames and picture. Each scale halves
the picture and sees one more frame on both sides. Time is never halved, so that a picture, which is
a video of one frame, has patches too.
"""

import dataclasses

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike

from mugv_jax.axes import Array, Float, Pixels
from mugv_jax.nn.conv import Conv2d, GroupNorm, TemporalConv
from mugv_jax.nn.vae.sizes import norm_groups

EPSILON = 1e-6
SLOPE = 0.2  # of the leaky ReLU


@dataclasses.dataclass(frozen=True, kw_only=True)
class DiscriminatorConfig:
    """Sizes of the discriminator.

    channels: width at each scale.

    Raises:
        ValueError: no scale, or widths that GroupNorm cannot split.
    """

    channels: tuple[int, ...] = (64, 128, 256)

    def __post_init__(self):
        if not self.channels:
            raise ValueError("channels=() must be one width or more.")
        norm_groups(*self.channels)


class Discriminator(nn.Module):
    """Score of every patch, positive for real, from pixels in [-1, 1]."""

    config: DiscriminatorConfig
    dtype: DTypeLike

    @nn.compact
    def __call__(self, pixels: Pixels) -> Float[Array, "b _f h w 1"]:
        batch, frames = pixels.shape[:2]
        groups = norm_groups(*self.config.channels)
        x = pixels
        for scale, width in enumerate(self.config.channels):
            x = x.reshape(-1, *x.shape[2:])
            down = Conv2d(width, stride=2, dtype=self.dtype, name=f"scale_{scale}_down")
            x = down(x)
            x = x.reshape(batch, frames, *x.shape[1:])
            x = nn.leaky_relu(x, SLOPE)
            x = TemporalConv(width, dtype=self.dtype, name=f"scale_{scale}_conv")(x)
            x = GroupNorm(EPSILON, groups, name=f"scale_{scale}_norm")(x)
            x = nn.leaky_relu(x, SLOPE)
        return TemporalConv(1, dtype=self.dtype, name="conv_out")(x).astype(jnp.float32)
