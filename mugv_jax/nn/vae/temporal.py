# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Temporal half of the video VAE: 3D convolutions on spatial features that shorten time only.

Time is zero-padded on both sides (published as causal, which it is not): the result for a frame
depends on the group or window of frames with which it is encoded or decoded.
"""

import functools

import einops
import flax.linen as nn
from jax.typing import DTypeLike

from mugv_jax.axes import Array, Float
from mugv_jax.nn.conv import GroupNorm, TemporalConv
from mugv_jax.nn.vae.blocks import ResBlock
from mugv_jax.nn.vae.sizes import VAEConfig

EPSILON = 1e-5


def _norm(config: VAEConfig) -> functools.partial:
    return functools.partial(GroupNorm, EPSILON, config.norm_groups)


def _block(config: VAEConfig, dtype: DTypeLike) -> functools.partial:
    conv = functools.partial(TemporalConv, use_bias=False, dtype=dtype)
    return functools.partial(ResBlock, conv=conv, norm=_norm(config))


class TemporalEncoder(nn.Module):
    """Features of one group of frames to the moments of its latent (published `Encoder`)."""

    config: VAEConfig
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: Float[Array, "b f h w c"]) -> Float[Array, "b f2 h w d"]:
        widths = self.config.temporal_channels
        conv = functools.partial(TemporalConv, dtype=self.dtype)
        block = _block(self.config, self.dtype)
        x = conv(widths[0], use_bias=False, name="conv_in")(x)
        for stage, width in enumerate(widths):
            for i in range(self.config.temporal_layers):
                x = block(width, name=f"stage_{stage}_res_{i}")(x)
            if stage < len(widths) - 1:
                x = conv(width, stride=2, name=f"stage_{stage}_down")(x)
        for i in range(self.config.temporal_layers):
            x = block(widths[-1], name=f"res_{i}")(x)
        x = _norm(self.config)(name="norm_out")(x)
        return conv(2 * self.config.latent_channels, window=1, name="conv_out")(nn.silu(x))


class TemporalDecoder(nn.Module):
    """Latents of one window to features of all frames (published `Decoder`).

    Stages are numbered as in the encoder and run backwards. Frames are repeated once at the start;
    after each stage but the last two, a convolution doubles the channels, which become two frames.
    """

    config: VAEConfig
    dtype: DTypeLike

    @nn.compact
    def __call__(self, z: Float[Array, "b f h w d"]) -> Float[Array, "b f2 h w c"]:
        widths = self.config.temporal_channels
        conv = functools.partial(TemporalConv, dtype=self.dtype)
        block = _block(self.config, self.dtype)
        x = conv(widths[-1], name="conv_in")(z)
        for i in range(self.config.temporal_layers):
            x = block(widths[-1], name=f"res_{i}")(x)
        x = einops.repeat(x, "b f h w c -> b (f two) h w c", two=2)
        x = block(widths[-1], name="repeated")(x)
        for stage, width in reversed(tuple(enumerate(widths))):
            for i in range(self.config.temporal_layers):
                x = block(width, name=f"stage_{stage}_res_{i}")(x)
            if stage > 1:
                x = conv(2 * width, name=f"stage_{stage}_up")(x)
                x = einops.rearrange(x, "b f h w (c two) -> b (f two) h w c", two=2)
        x = _norm(self.config)(name="norm_out")(x)
        return conv(self.config.feature_channels, name="conv_out")(nn.silu(x))
