# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Spatial half of the video VAE: a picture VAE per frame, cut open at its bottleneck.

SDXL's KL autoencoder without its last encoder layers and its first decoder layer: the encoder ends,
and the decoder begins, at the middle block. Frames are folded into the batch.
"""

import functools

import einops
import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike

from mugv_jax.axes import Array, Float
from mugv_jax.kernels.attention import attend
from mugv_jax.nn.conv import Conv2d, GroupNorm, RepeatedConv2d
from mugv_jax.nn.layers import Linear
from mugv_jax.nn.vae.blocks import ResBlock
from mugv_jax.nn.vae.sizes import VAEConfig

EPSILON = 1e-6


def _norm(config: VAEConfig) -> functools.partial:
    return functools.partial(GroupNorm, EPSILON, config.norm_groups)


class PictureAttention(nn.Module):
    """x + Attention(norm(x)) over the positions of the picture, one head over all channels."""

    config: VAEConfig
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        y = einops.rearrange(_norm(self.config)(name="norm")(x), "b h w c -> b (h w) c")
        linear = functools.partial(
            Linear, x.shape[-1], axes=("conv_in", "conv_out"), dtype=self.dtype
        )
        q, k, v = (linear(name=name)(y)[:, :, None] for name in ("q", "k", "v"))
        # cuDNN supports heads of at most 256 channels.
        y = attend(q, k, v, implementation="xla")[:, :, 0]
        y = linear(name="out")(y).astype(jnp.float32)
        return x + einops.rearrange(y, "b (h w) c -> b h w c", h=x.shape[1])


class MiddleBlock(nn.Module):
    """ResBlock, attention, ResBlock at the smallest scale."""

    config: VAEConfig
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        conv = functools.partial(Conv2d, dtype=self.dtype)
        block = functools.partial(ResBlock, x.shape[-1], conv=conv, norm=_norm(self.config))
        x = block(name="res_0")(x)
        x = PictureAttention(self.config, self.dtype, name="attention")(x)
        return block(name="res_1")(x)


class SpatialEncoder(nn.Module):
    """Pixels in [-1, 1] to features of the middle block (published `Encoder` without its end)."""

    config: VAEConfig
    dtype: DTypeLike

    @nn.compact
    def __call__(self, pixels: Float[Array, "b h w 3"]) -> Float[Array, "b h2 w2 c"]:
        widths = self.config.spatial_channels
        conv = functools.partial(Conv2d, dtype=self.dtype)
        block = functools.partial(ResBlock, conv=conv, norm=_norm(self.config))
        x = conv(widths[0], name="conv_in")(pixels)
        for scale, width in enumerate(widths):
            for i in range(self.config.spatial_layers):
                x = block(width, name=f"scale_{scale}_res_{i}")(x)
            if scale < len(widths) - 1:
                x = conv(width, stride=2, padding=(0, 1), name=f"scale_{scale}_down")(x)
        return MiddleBlock(self.config, self.dtype, name="middle")(x)


class SpatialDecoder(nn.Module):
    """Features of the middle block to pixels (published `Decoder` without `conv_in`).

    Scale 0 is the smallest picture. Sows the input of the last convolution as "last".
    """

    config: VAEConfig
    dtype: DTypeLike

    @nn.compact
    def __call__(self, features: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 3"]:
        widths = self.config.spatial_channels[::-1]
        conv = functools.partial(Conv2d, dtype=self.dtype)
        block = functools.partial(ResBlock, conv=conv, norm=_norm(self.config))
        x = MiddleBlock(self.config, self.dtype, name="middle")(features)
        for scale, width in enumerate(widths):
            for i in range(self.config.spatial_layers + 1):
                x = block(width, name=f"scale_{scale}_res_{i}")(x)
            if scale < len(widths) - 1:
                x = RepeatedConv2d(width, dtype=self.dtype, name=f"scale_{scale}_up")(x)
        x = nn.silu(_norm(self.config)(name="norm_out")(x))
        self.sow("intermediates", "last", x)
        return conv(3, name="conv_out")(x)
