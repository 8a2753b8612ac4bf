# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Spatial half of the video VAE: a picture VAE per frame, cut open at its bottleneck.

SDXL's KL autoencoder without its last encoder layers and its first decoder layer: the encoder ends,
and the decoder begins, at the middle block. Frames are folded into the batch.
"""

import functools
import itertools
from collections.abc import Callable

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
TILED_SCALES = 2  # largest pictures, which hold nearly all of the memory

Layer = Callable[[Array], Array]


def tiled_scales(config: VAEConfig) -> int:
    """Number of scales that can be processed tile by tile: the largest, never the smallest."""
    return min(TILED_SCALES, len(config.spatial_channels) - 1)


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


class _Half(nn.Module):
    """Base of encoder and decoder: parts that are applied one after another.

    One part holds the middle block and all small pictures. Every other part works on a picture of
    one of the TILED_SCALES largest scales and has at most one ResBlock, beside convolutions that
    enlarge its input or shrink its output. `part` is the number of the only part that is applied.
    """

    config: VAEConfig
    dtype: DTypeLike

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w _c"], part: int | None = None
    ) -> Float[Array, "b _h _w _d"]:
        parts = self._parts()
        for layers in parts if part is None else [parts[part]]:
            for layer in layers:
                x = layer(x)
        return x

    def _parts(self) -> list[list[Layer]]:
        raise NotImplementedError

    def _block(self, scale: int, i: int, width: int) -> ResBlock:
        conv = functools.partial(Conv2d, dtype=self.dtype)
        norm = _norm(self.config)
        return ResBlock(width, conv=conv, norm=norm, name=f"scale_{scale}_res_{i}")

    def _middle(self) -> MiddleBlock:
        return MiddleBlock(self.config, self.dtype, name="middle")


class SpatialEncoder(_Half):
    """Pixels in [-1, 1] to features of the middle block (published `Encoder` without its end).

    Scale 0 is the largest picture. The last part is the one with the small pictures.
    """

    @property
    def num_parts(self) -> int:
        return tiled_scales(self.config) * self.config.spatial_layers + 1

    def _parts(self) -> list[list[Layer]]:
        widths = self.config.spatial_channels
        conv = functools.partial(Conv2d, dtype=self.dtype)
        parts: list[list[Layer]] = []
        small: list[Layer] = []
        for scale, width in enumerate(widths):
            count = self.config.spatial_layers
            blocks: list[list[Layer]] = [[self._block(scale, i, width)] for i in range(count)]
            if scale == 0:
                blocks[0].insert(0, conv(width, name="conv_in"))
            if scale < len(widths) - 1:
                name = f"scale_{scale}_down"
                blocks[-1].append(conv(width, stride=2, padding=(0, 1), name=name))
            if scale < tiled_scales(self.config):
                parts += blocks
            else:
                small += itertools.chain(*blocks)
        return [*parts, [*small, self._middle()]]


class SpatialDecoder(_Half):
    """Features of the middle block to pixels (published `Decoder` without `conv_in`).

    Scale 0 is the smallest picture. The first part is the one with the small pictures. Sows the
    input of the last convolution as "last".
    """

    @property
    def num_parts(self) -> int:
        return 1 + tiled_scales(self.config) * (self.config.spatial_layers + 1) + 1

    def _parts(self) -> list[list[Layer]]:
        widths = self.config.spatial_channels[::-1]
        small: list[Layer] = [self._middle()]
        parts: list[list[Layer]] = []
        for scale, width in enumerate(widths):
            count = self.config.spatial_layers + 1
            blocks: list[list[Layer]] = [[self._block(scale, i, width)] for i in range(count)]
            if scale:
                name = f"scale_{scale - 1}_up"
                blocks[0].insert(0, RepeatedConv2d(widths[scale - 1], self.dtype, name=name))
            if scale >= len(widths) - tiled_scales(self.config):
                parts += blocks
            else:
                small += itertools.chain(*blocks)
        return [small, *parts, [self._end]]

    def _end(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w 3"]:
        x = nn.silu(_norm(self.config)(name="norm_out")(x))
        self.sow("intermediates", "last", x)
        return Conv2d(3, self.dtype, name="conv_out")(x)
