# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Wan2.1's video VAE (published `WanVAE_`, diffusers `AutoencoderKLWan`): 4x8x8, causal in time.

The first frame stands alone, every four frames after it make a latent. A frame depends on itself
and on those before it, so that a video goes through in parts: `first=False` makes the module that
goes on where the collection "cache" says that the last part ended (`streaming.py`).

The residual stream and the norms are float32; convolutions round their operands to `dtype`.
"""

import dataclasses
import functools

import einops
import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike

from mugv_jax.axes import Array, Float, Latent, Pixels
from mugv_jax.bounds import require_at_least
from mugv_jax.kernels.attention import attend
from mugv_jax.nn.conv import CausalConv, Conv2d, FollowingConv, RepeatedConv2d, behind
from mugv_jax.nn.layers import Linear, against, partitioned
from mugv_jax.nn.vae.blocks import ResBlock

# Of the posterior's mean, by channel, over the published training data.
LATENT_MEAN = (
    -0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508,
    0.4134, -0.0715, 0.5517, -0.3632, -0.1922, -0.9497, 0.2503, -0.2921,
)  # fmt: skip
LATENT_DEVIATION = (
    2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743,
    3.2687, 2.1526, 2.8652, 1.5579, 1.6382, 1.1253, 2.8251, 1.9160,
)  # fmt: skip
TINY_NORM = 1e-12
ROWS = ("batch", None, "rows", None, None)  # every device has some rows of all frames


@dataclasses.dataclass(frozen=True, kw_only=True)
class WanVAEConfig:
    """Sizes of a Wan2.1 VAE; the published one by default.

    width, multipliers: channels of the scales, from the largest picture to the smallest.
    layers: ResBlocks of a scale, one more in the decoder.
    halve_time: whether time is halved, too, after each scale but the last.

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
        """Pixels a side of a latent."""
        return 2 ** len(self.halve_time)

    @property
    def time_factor(self) -> int:
        """Frames of a latent, but of the first."""
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
        return y * against(scale.astype(jnp.float32) * width**0.5, y)


class FrameAttention(nn.Module):
    """x + attention over the picture of each frame of the normalised x, one head."""

    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: Float[Array, "b f h w c"]) -> Float[Array, "b f h w c"]:
        frames, height, _, width = x.shape[1:]
        y = einops.rearrange(ChannelNorm(name="norm")(x), "b f h w c -> (b f) (h w) c")
        axes = ("conv_in", "qkv", "conv_out")
        qkv = Linear((3, width), axes=axes, dtype=self.dtype, name="qkv")(y)
        q, k, v = (qkv[:, :, i, None] for i in range(3))
        # cuDNN's heads end at 256 channels.
        y = attend(q, k, v, implementation="xla")[:, :, 0]
        y = Linear(width, axes=("conv_in", "conv_out"), dtype=self.dtype, name="out")(y)
        y = einops.rearrange(y, "(b f) (h w) c -> b f h w c", f=frames, h=height)
        return x + y.astype(jnp.float32)


class HalveTime(nn.Module):
    """The first frame as it is; then one frame of every two, and of the one before them."""

    dtype: DTypeLike
    first: bool

    @nn.compact
    def __call__(self, x: Float[Array, "b f h w c"]) -> Float[Array, "b f2 h w c"]:
        conv = FollowingConv(x.shape[-1], self.dtype, window=(3, 1, 1), stride=2, name="conv")
        joined = behind(self, x, 1, first=self.first)
        if not self.first:
            return conv(joined)
        if x.shape[1] == 1:
            return x
        return jnp.concatenate([x[:, :1], conv(joined[:, 1:])], axis=1)


class DoubleTime(nn.Module):
    """The first frame as it is; then two frames of every one, and of the two before it.

    The first frame counts as no frame before: where it stood, zeros stand.
    """

    dtype: DTypeLike
    first: bool

    @nn.compact
    def __call__(self, x: Float[Array, "b f h w c"]) -> Float[Array, "b f2 h w c"]:
        alone, x = (x[:, :1], x[:, 1:]) if self.first else (x[:, :0], x)
        conv = FollowingConv(2 * x.shape[-1], self.dtype, window=(3, 1, 1), name="conv")
        joined = behind(self, x, 2, first=self.first)
        if x.shape[1]:
            y = einops.rearrange(conv(joined), "b f h w (two c) -> b (f two) h w c", two=2)
            alone = jnp.concatenate([alone, y], axis=1)
        return alone


def _in_pictures(conv: nn.Module, x: Float[Array, "b f h w c"]) -> Float[Array, "b f h2 w2 d"]:
    y = conv(einops.rearrange(x, "b f h w c -> (b f) h w c"))
    return einops.rearrange(y, "(b f) h w c -> b f h w c", b=x.shape[0])


class _Half(nn.Module):
    """What encoder and decoder share."""

    config: WanVAEConfig
    dtype: DTypeLike
    first: bool

    @property
    def _conv(self) -> functools.partial:
        return functools.partial(CausalConv, dtype=self.dtype, first=self.first)

    def _block(self, features: int, name: str) -> ResBlock:
        return ResBlock(features, conv=self._conv, norm=ChannelNorm, name=name)

    def _middle(self, x: Float[Array, "b f h w c"]) -> Float[Array, "b f h w c"]:
        x = self._block(x.shape[-1], "middle_res_0")(x)
        x = FrameAttention(self.dtype, name="middle_attention")(x)
        return self._block(x.shape[-1], "middle_res_1")(x)

    def _end(self, features: int, x: Float[Array, "b f h w c"]) -> Float[Array, "b f h w d"]:
        return self._conv(features, name="conv_out")(nn.silu(ChannelNorm(name="norm_out")(x)))


class Encoder(_Half):
    """Pixels to twice the latent's channels (published `Encoder3d`)."""

    @nn.compact
    def __call__(self, pixels: Float[Array, "b f h w 3"]) -> Float[Array, "b f2 h2 w2 d"]:
        x = self._conv(self.config.width, name="conv_in")(pixels)
        for scale, width in enumerate(self.config.widths):
            for i in range(self.config.layers):
                x = self._block(width, f"scale_{scale}_res_{i}")(x)
            if scale == len(self.config.halve_time):
                break
            name = f"scale_{scale}_down"
            x = _in_pictures(Conv2d(width, self.dtype, stride=2, padding=(0, 1), name=name), x)
            if self.config.halve_time[scale]:
                x = HalveTime(self.dtype, self.first, name=f"{name}_time")(x)
        return self._end(2 * self.config.latent_channels, self._middle(x))


class Decoder(_Half):
    """Latents to pixels (published `Decoder3d`); scale 0 is the smallest picture."""

    @nn.compact
    def __call__(self, z: Float[Array, "b f h w d"]) -> Float[Array, "b f2 h2 w2 3"]:
        widths = self.config.widths[::-1]
        x = self._middle(self._conv(widths[0], name="conv_in")(z))
        for scale, width in enumerate(widths):
            for i in range(self.config.layers + 1):
                x = self._block(width, f"scale_{scale}_res_{i}")(x)
            if scale == len(self.config.halve_time):
                break
            name = f"scale_{scale}_up"
            if self.config.halve_time[::-1][scale]:
                x = DoubleTime(self.dtype, self.first, name=f"{name}_time")(x)
            x = _in_pictures(RepeatedConv2d(width // 2, self.dtype, name=name), x)
        return self._end(3, x)


class WanVAE(nn.Module):
    """Pixels in [-1, 1] to latents of mean 0 and deviation 1 over the published data, and back.

    first: the frames or latents given are the first ones.
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
        """The posterior's mean as it comes; 4 k + 1 frames if `first`, 4 k otherwise."""
        x = nn.with_logical_constraint(pixels, ROWS)
        return jnp.split(self.quant_conv(self.encoder(x)), 2, axis=-1)[0]

    def decode_mean(self, z: Latent) -> Pixels:
        """Pixels of what `encode_mean` gives: 4 k + 1 frames of k + 1 latents, or 4 k of k."""
        z = nn.with_logical_constraint(z, ROWS)
        return nn.with_logical_constraint(self.decoder(self.post_quant_conv(z)), ROWS)

    def encode(self, pixels: Pixels) -> Latent:
        """`encode_mean`, normalised."""
        mean, deviation = self._statistics()
        z = self.encode_mean(pixels)
        return (z - against(mean, z)) / against(deviation, z)

    def decode(self, z: Latent) -> Pixels:
        """Of normalised latents; not clipped."""
        mean, deviation = self._statistics()
        return self.decode_mean(z * against(deviation, z) + against(mean, z))

    def _statistics(self) -> tuple[Float[Array, "c"], Float[Array, "c"]]:
        channels = self.config.latent_channels
        if channels != len(LATENT_MEAN):  # of no published VAE: nothing is known of its latents
            return jnp.zeros(channels), jnp.ones(channels)
        return jnp.asarray(LATENT_MEAN), jnp.asarray(LATENT_DEVIATION)
