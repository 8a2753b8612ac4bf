# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Wan2.1's video VAE (published `WanVAE_`, diffusers `AutoencoderKLWan`): 4x8x8, causal in time.

The first frame makes one latent, and every four frames after it make another. A frame depends only
on itself and on those before it, so that a video can be processed in parts: with `first=False` the
module continues from the frames that the last part left in the collection "cache" (`streaming.py`).

The residual stream and the norms are float32; convolutions round their operands to `dtype`.
"""

import dataclasses
import functools
from typing import Literal

import einops
import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike

from mugv_jax.axes import Array, Float, Latent, Pixels
from mugv_jax.bounds import require_at_least
from mugv_jax.kernels.attention import attend
from mugv_jax.nn.conv import (
    CausalConv,
    Conv2d,
    RepeatedConv2d,
    UnpaddedTimeConv,
    prepend_past_frames,
)
from mugv_jax.nn.layers import Linear, match_rank, partitioned
from mugv_jax.nn.vae.blocks import ResBlock

# Mean and deviation of the posterior's mean in each channel over the training data, as published.
LATENT_MEAN = (
    -0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508,
    0.4134, -0.0715, 0.5517, -0.3632, -0.1922, -0.9497, 0.2503, -0.2921,
)  # fmt: skip
LATENT_DEVIATION = (
    2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743,
    3.2687, 2.1526, 2.8652, 1.5579, 1.6382, 1.1253, 2.8251, 1.9160,
)  # fmt: skip
TINY_NORM = 1e-12
Features = Float[Array, "b _f _h _w _c"]
Part = Literal["large", "small"]
ROWS = ("batch", None, "rows", None, None)  # every device holds some rows of all frames


@dataclasses.dataclass(frozen=True, kw_only=True)
class WanVAEConfig:
    """Sizes of a Wan2.1 VAE; the defaults are the published ones.

    width, multipliers: channels of the scales, from the largest picture to the smallest.
    layers: ResBlocks per scale; the decoder has one more.
    halve_time: for each scale but the last, whether time is halved after it as well.

    Raises:
        ValueError: sizes that the architecture cannot hold.
    """

    width: int = 96
    multipliers: tuple[int, ...] = (1, 2, 4, 4)
    layers: int = 2
    latent_channels: int = 16
    halve_time: tuple[bool, ...] = (False, True, True)

    def __post_init__(self):
        for field in ("multipliers", "halve_time"):
            object.__setattr__(self, field, tuple(getattr(self, field)))
        require_at_least(1, self, "width", "layers", "latent_channels")
        if len(self.multipliers) < 2 or min(self.multipliers) < 1:
            raise ValueError(f"multipliers={self.multipliers} must be two or more, each above 0.")
        if len(self.halve_time) != len(self.multipliers) - 1:
            raise ValueError(
                f"halve_time={self.halve_time} must have one entry for every one of "
                f"multipliers={self.multipliers} but the last."
            )

    @property
    def widths(self) -> tuple[int, ...]:
        return tuple(self.width * multiplier for multiplier in self.multipliers)

    @property
    def spatial_factor(self) -> int:
        """Pixels per latent along height and along width."""
        return 2 ** len(self.halve_time)

    @property
    def time_factor(self) -> int:
        """Frames per latent, except for the first latent."""
        return 2 ** sum(self.halve_time)


class ChannelNorm(nn.Module):
    """sqrt(c) x / |x| times a learned scale, |x| over channels; float32 (published `RMS_norm`)."""

    @nn.compact
    def __call__(self, x: Float[Array, "b *positions c"]) -> Float[Array, "b *positions c"]:
        width = x.shape[-1]
        scale = self.param("scale", partitioned(nn.initializers.ones, "conv_out"), (width,))
        x = x.astype(jnp.float32)
        length = jnp.linalg.norm(x, axis=-1, keepdims=True)
        y = x / jnp.maximum(length, TINY_NORM)
        return y * match_rank(scale.astype(jnp.float32) * width**0.5, y)


class FrameAttention(nn.Module):
    """x + Attention(norm(x)) over the positions of each frame, one head."""

    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: Float[Array, "b f h w c"]) -> Float[Array, "b f h w c"]:
        frames, height, _, width = x.shape[1:]
        y = einops.rearrange(ChannelNorm(name="norm")(x), "b f h w c -> (b f) (h w) c")
        axes = ("conv_in", "qkv", "conv_out")
        qkv = Linear((3, width), axes=axes, dtype=self.dtype, name="qkv")(y)
        q, k, v = (qkv[:, :, i, None] for i in range(3))
        # cuDNN supports heads of at most 256 channels.
        y = attend(q, k, v, implementation="xla")[:, :, 0]
        y = Linear(width, axes=("conv_in", "conv_out"), dtype=self.dtype, name="out")(y)
        y = einops.rearrange(y, "(b f) (h w) c -> b f h w c", f=frames, h=height)
        return x + y.astype(jnp.float32)


class HalveTime(nn.Module):
    """Halves the frames after the first: one from every two and the frame before them.

    The first frame of a video is passed on unchanged.
    """

    dtype: DTypeLike
    first: bool

    @nn.compact
    def __call__(self, x: Float[Array, "b f h w c"]) -> Float[Array, "b f2 h w c"]:
        conv = UnpaddedTimeConv(x.shape[-1], self.dtype, window=(3, 1, 1), stride=2, name="conv")
        joined = prepend_past_frames(self, x, 1, first=self.first)
        if not self.first:
            return conv(joined)
        if x.shape[1] == 1:
            return x
        return jnp.concatenate([x[:, :1], conv(joined[:, 1:])], axis=1)


class DoubleTime(nn.Module):
    """Doubles the frames after the first: two from every one and the two frames before it.

    The first frame of a video is passed on unchanged; the frames after it see zeros in its place.
    """

    dtype: DTypeLike
    first: bool

    @nn.compact
    def __call__(self, x: Float[Array, "b f h w c"]) -> Float[Array, "b f2 h w c"]:
        alone, x = (x[:, :1], x[:, 1:]) if self.first else (x[:, :0], x)
        conv = UnpaddedTimeConv(2 * x.shape[-1], self.dtype, window=(3, 1, 1), name="conv")
        joined = prepend_past_frames(self, x, 2, first=self.first)
        if x.shape[1]:
            y = einops.rearrange(conv(joined), "b f h w (two c) -> b (f two) h w c", two=2)
            alone = jnp.concatenate([alone, y], axis=1)
        return alone


def _per_picture(conv: nn.Module, x: Float[Array, "b f h w c"]) -> Float[Array, "b f h2 w2 d"]:
    y = conv(einops.rearrange(x, "b f h w c -> (b f) h w c"))
    return einops.rearrange(y, "(b f) h w c -> b f h w c", b=x.shape[0])


class _Half(nn.Module):
    """Base of encoder and decoder: two parts, one after the other.

    The small part has the smallest picture, with attention, and the large part all others. `part`
    is the only one that is applied.
    """

    config: WanVAEConfig
    dtype: DTypeLike
    first: bool

    @property
    def _conv(self) -> functools.partial:
        return functools.partial(CausalConv, dtype=self.dtype, first=self.first)

    def _blocks(self, x: Float[Array, "b f h w _c"], scale: int, width: int, count: int) -> Array:
        for i in range(count):
            x = self._block(width, f"scale_{scale}_res_{i}")(x)
        return x

    def _block(self, features: int, name: str) -> ResBlock:
        return ResBlock(features, conv=self._conv, norm=ChannelNorm, name=name)

    def _middle(self, x: Float[Array, "b f h w c"]) -> Float[Array, "b f h w c"]:
        x = self._block(x.shape[-1], "middle_res_0")(x)
        x = FrameAttention(self.dtype, name="middle_attention")(x)
        return self._block(x.shape[-1], "middle_res_1")(x)

    def _end(self, features: int, x: Float[Array, "b f h w c"]) -> Float[Array, "b f h w d"]:
        return self._conv(features, name="conv_out")(nn.silu(ChannelNorm(name="norm_out")(x)))


class Encoder(_Half):
    """Pixels to twice the latent's channels (published `Encoder3d`); its large part comes first."""

    @nn.compact
    def __call__(
        self, x: Float[Array, "b f h w c"], part: Part | None = None
    ) -> Float[Array, "b f2 h2 w2 d"]:
        if part != "small":
            x = self._large(x)
        return x if part == "large" else self._small(x)

    def _large(self, pixels: Float[Array, "b f h w 3"]) -> Float[Array, "b f2 h2 w2 c"]:
        x = self._conv(self.config.width, name="conv_in")(pixels)
        for scale, halve_time in enumerate(self.config.halve_time):
            width = self.config.widths[scale]
            x = self._blocks(x, scale, width, self.config.layers)
            name = f"scale_{scale}_down"
            x = _per_picture(Conv2d(width, self.dtype, stride=2, padding=(0, 1), name=name), x)
            if halve_time:
                x = HalveTime(self.dtype, self.first, name=f"{name}_time")(x)
        return x

    def _small(self, x: Float[Array, "b f h w c"]) -> Float[Array, "b f h w d"]:
        scale = len(self.config.halve_time)
        x = self._blocks(x, scale, self.config.widths[-1], self.config.layers)
        return self._end(2 * self.config.latent_channels, self._middle(x))

    @staticmethod
    def halo(config: WanVAEConfig) -> int:
        """Latents on every side of a picture on which those of its large part depend."""
        pixels = 0
        for _ in config.halve_time:
            pixels = 2 * pixels + 1 + 2 * config.layers
        return -(-(pixels + 1) // config.spatial_factor)


class Decoder(_Half):
    """Latents to pixels (published `Decoder3d`); its small part comes first, and scale 0 is it."""

    @nn.compact
    def __call__(
        self, x: Float[Array, "b f h w d"], part: Part | None = None
    ) -> Float[Array, "b f2 h2 w2 c"]:
        if part != "large":
            x = self._small(x)
        return x if part == "small" else self._large(x)

    def _small(self, z: Float[Array, "b f h w d"]) -> Float[Array, "b f h w c"]:
        width = self.config.widths[-1]
        x = self._middle(self._conv(width, name="conv_in")(z))
        return self._blocks(x, 0, width, self.config.layers + 1)

    def _large(self, x: Float[Array, "b f h w c"]) -> Float[Array, "b f2 h2 w2 3"]:
        widths = self.config.widths[::-1]
        for scale, double_time in enumerate(self.config.halve_time[::-1]):
            name = f"scale_{scale}_up"
            if double_time:
                x = DoubleTime(self.dtype, self.first, name=f"{name}_time")(x)
            width = widths[scale] // 2
            x = _per_picture(RepeatedConv2d(width, self.dtype, name=name), x)
            x = self._blocks(x, scale + 1, widths[scale + 1], self.config.layers + 1)
        return self._end(3, x)

    @staticmethod
    def halo(config: WanVAEConfig) -> int:
        """Latents on every side of a picture on which the pixels of its large part depend."""
        pixels = 1
        for _ in config.halve_time:
            pixels = -(-(pixels + 2 * (config.layers + 1) + 1) // 2)
        return pixels


class WanVAE(nn.Module):
    """Pixels in [-1, 1] to latents of mean 0 and deviation 1 over the published data, and back.

    first: the input is the beginning of a video; otherwise the collection "cache" is read.
    """

    config: WanVAEConfig
    dtype: DTypeLike
    first: bool = True

    def setup(self):
        config = self.config
        self.encoder = Encoder(config, self.dtype, self.first)
        self.decoder = Decoder(config, self.dtype, self.first)
        self.quant_conv = CausalConv(2 * config.latent_channels, self.dtype, window=1)
        self.post_quant_conv = CausalConv(config.latent_channels, self.dtype, window=1)

    def __call__(self, pixels: Pixels) -> Pixels:
        """Reconstruction by the posterior's mean."""
        return self.decode(self.encode(pixels))

    def encode_mean(self, pixels: Pixels) -> Latent:
        """Mean of the posterior, not normalised, of 4 k + 1 frames if `first`, else of 4 k."""
        return self._mean(self.encode_large(pixels))

    def decode_mean(self, z: Latent) -> Pixels:
        """Pixels of latents from `encode_mean`: 4 k + 1 frames of k + 1 latents, or 4 k of k."""
        return self.decode_large(self._features(z))

    def encode(self, pixels: Pixels) -> Latent:
        """`encode_mean`, normalised."""
        return self.encode_small(self.encode_large(pixels))

    def decode(self, z: Latent) -> Pixels:
        """Pixels of normalised latents, not clipped."""
        return self.decode_large(self.decode_small(z))

    def encode_large(self, pixels: Pixels) -> Features:
        """Features at the size of latents: depends on `Encoder.halo` latents around a picture."""
        return self.encoder(nn.with_logical_constraint(pixels, ROWS), "large")

    def encode_small(self, x: Features) -> Latent:
        """Normalised latents of `encode_large`; every one depends on its whole picture."""
        mean, deviation = self._statistics()
        z = self._mean(x)
        return (z - match_rank(mean, z)) / match_rank(deviation, z)

    def decode_small(self, z: Latent) -> Features:
        """Features at the size of normalised latents; every one depends on its whole picture."""
        mean, deviation = self._statistics()
        return self._features(z * match_rank(deviation, z) + match_rank(mean, z))

    def decode_large(self, x: Features) -> Pixels:
        """Pixels of `decode_small`: depends on `Decoder.halo` latents around a picture."""
        x = nn.with_logical_constraint(x, ROWS)
        return nn.with_logical_constraint(self.decoder(x, "large"), ROWS)

    def _mean(self, x: Features) -> Latent:
        x = self.encoder(nn.with_logical_constraint(x, ROWS), "small")
        return jnp.split(self.quant_conv(x), 2, axis=-1)[0]

    def _features(self, z: Latent) -> Features:
        z = nn.with_logical_constraint(z, ROWS)
        return self.decoder(self.post_quant_conv(z), "small")

    def _statistics(self) -> tuple[Float[Array, "c"], Float[Array, "c"]]:
        channels = self.config.latent_channels
        if channels != len(LATENT_MEAN):  # not the published VAE: its statistics are unknown
            return jnp.zeros(channels), jnp.ones(channels)
        return jnp.asarray(LATENT_MEAN), jnp.asarray(LATENT_DEVIATION)
