# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""A tiny decoder for the latents of the video VAE: nearly its pixels for a fraction of its cost.

    latents of a window - 3x3 convolutions, some channels shifted in time - features of 8 frames
    features of a frame - 3x3 convolutions at 2, 4, ... times the resolution - shuffle - pixels

It is trained to repeat the output of the full decoder (`train/vae/tiny.py`), as the tiny
autoencoders of image and video models are. Two choices keep it cheap: time is mixed by moving
channels between neighbouring latents, which costs nothing (TSM, arXiv:1811.08383), and the last
convolution works on patches of pixels instead of single ones (arXiv:1609.05158). Norms are over the
channels of a position and there is no attention: a pixel depends on its surroundings alone. The
residual stream has no activations: the linear part of the map from latents to pixels, which is most
of it, is learnt within a few hundred steps.

Its methods are those with which `systems/mugv/windows.py` decodes: the windows, and the first
latent that is decoded alone, are the same as the full decoder's.
"""

import dataclasses
from collections.abc import Callable

import einops
import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from mugv_jax.axes import Array, Float, Latent, Pixels
from mugv_jax.bounds import require_at_least
from mugv_jax.nn.conv import Conv2d
from mugv_jax.nn.vae.autoencoder import Features, VideoVAE

EPSILON = 1e-6
SHIFTED = 4  # one in so many channels comes from the latent before, and one from that after


@dataclasses.dataclass(frozen=True, kw_only=True)
class TinyDecoderConfig:
    """Sizes of a tiny decoder; the defaults are for the published VAE.

    width, layers: channels and residual blocks at the resolution of the latents.
    feature_channels: channels of the features of each frame. A window has them for all its
        frames at once, so they decide the memory.
    frame_widths: channels of each frame at 2, 4, ... times the resolution of the latents.
    frame_layers: residual blocks at each of these.
    patch_px: pixels a side of the patches that the last convolution makes.
    time_factor: frames per latent.
    window_frames: frames that are decoded at once, as many as the full decoder's.

    Raises:
        ValueError: sizes that the architecture cannot hold.
    """

    latent_channels: int = 24
    width: int = 96
    layers: int = 8
    feature_channels: int = 32
    frame_widths: tuple[int, ...] = (96, 32)
    frame_layers: int = 2
    patch_px: int = 2
    time_factor: int = 8
    window_frames: int = 48

    def __post_init__(self):
        object.__setattr__(self, "frame_widths", tuple(self.frame_widths))
        counts = ("latent_channels", "layers", "feature_channels", "frame_layers")
        require_at_least(1, self, *counts, "patch_px", "time_factor")
        if not self.frame_widths or min(self.frame_widths) < 1:
            raise ValueError(
                f"frame_widths={self.frame_widths} must be one or more numbers above 0: each "
                "doubles the picture."
            )
        if self.width < SHIFTED or self.width % SHIFTED:
            raise ValueError(
                f"width={self.width} must be a multiple of {SHIFTED}: that part of the channels "
                "comes from the latent before, and as much from that after."
            )
        if self.window_frames < 1 or self.window_frames % self.time_factor:
            raise ValueError(
                f"window_frames={self.window_frames} must be a positive multiple of "
                f"{self.time_factor}, the frames of one latent."
            )

    @property
    def spatial_factor(self) -> int:
        """Pixels per latent along height and along width."""
        return self.patch_px * 2 ** len(self.frame_widths)

    @property
    def window_latents(self) -> int:
        return self.window_frames // self.time_factor


def shift_in_time(x: Float[Array, "b f h w c"]) -> Float[Array, "b f h w c"]:
    """Channels of neighbours: a quarter of the frame before, a quarter of that after, half its own.

    Zeros stand before the first frame and after the last.
    """
    part = x.shape[-1] // SHIFTED
    before, after, own = jnp.split(x, (part, 2 * part), axis=-1)
    zeros = jnp.zeros_like(before[:, :1])
    before = jnp.concatenate([zeros, before[:, :-1]], axis=1)
    after = jnp.concatenate([after[:, 1:], zeros], axis=1)
    return jnp.concatenate([before, after, own], axis=-1)


def normalized(x: Float[Array, "b f h w c"]) -> Float[Array, "b f h w c"]:
    """x / rms(x), over the channels of every position."""
    return x * jax.lax.rsqrt(jnp.mean(jnp.square(x), axis=-1, keepdims=True) + EPSILON)


def enlarge(x: Float[Array, "b f h w _c"], factor: int) -> Float[Array, "b f _h _w _d"]:
    """Depth to space: every position becomes factor x factor positions of fewer channels."""
    return einops.rearrange(x, "b f h w (p q c) -> b f (h p) (w q) c", p=factor, q=factor)


class _Block(nn.Module):
    """y = x + conv(silu(conv(silu(x)))) of each frame.

    mixed: conv(silu(x)) is conv(shift_in_time(silu(normalized(x)))) instead.
    """

    dtype: DTypeLike
    mixed: bool = False

    @nn.compact
    def __call__(self, x: Float[Array, "b f h w c"]) -> Float[Array, "b f h w c"]:
        y = shift_in_time(nn.silu(normalized(x))) if self.mixed else nn.silu(x)
        y = _conv(x.shape[-1], self.dtype, "conv_1")(y)
        return x + _conv(x.shape[-1], self.dtype, "conv_2")(nn.silu(y))


def _conv(features: int, dtype: DTypeLike, name: str, window: int = 3) -> Callable[[Array], Array]:
    """Convolution of each frame of a clip."""
    conv = Conv2d(features, dtype, name=name, window=window)

    def apply(x: Float[Array, "b f h w _c"]) -> Float[Array, "b f h w _d"]:
        y = conv(einops.rearrange(x, "b f h w c -> (b f) h w c"))
        return einops.rearrange(y, "(b f) h w c -> b f h w c", b=x.shape[0])

    return apply


class _LatentHalf(nn.Module):
    """Latents of one window to features of all its frames."""

    config: TinyDecoderConfig
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: Float[Array, "b f h w d"]) -> Float[Array, "b f2 h w c"]:
        config = self.config
        x = _conv(config.width, self.dtype, "conv_in")(x)
        for i in range(config.layers):
            x = _Block(self.dtype, mixed=True, name=f"block_{i}")(x)
        grown = config.time_factor * config.feature_channels
        x = _conv(grown, self.dtype, "to_frames", window=1)(x)
        return einops.rearrange(x, "b f h w (t c) -> b (f t) h w c", t=config.time_factor)


class _FrameHalf(nn.Module):
    """Features of frames to their pixels, each frame by itself."""

    config: TinyDecoderConfig
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: Float[Array, "b f h w c"]) -> Pixels:
        config = self.config
        for scale, width in enumerate(config.frame_widths):
            x = _conv(4 * width, self.dtype, f"scale_{scale}_up", window=1)(x)
            x = enlarge(x, 2)
            for i in range(config.frame_layers):
                x = _Block(self.dtype, name=f"scale_{scale}_block_{i}")(x)
        x = _conv(3 * config.patch_px**2, self.dtype, "conv_out")(x)
        return enlarge(x, config.patch_px)


class TinyDecoder(nn.Module):
    """Decoder of latents that are normalised as they are everywhere outside the VAE."""

    config: TinyDecoderConfig
    dtype: DTypeLike

    def setup(self):
        self.latents = _LatentHalf(self.config, self.dtype)
        self.frames = _FrameHalf(self.config, self.dtype)

    def __call__(self, latent: Latent) -> Pixels:
        """Pixels of one window; uses every parameter, so that `init` creates them all."""
        return self.decode_pixels(self.decode_features(latent))

    def denormalize(self, latent: Latent) -> Latent:
        """The latent itself, in float32: its statistics are in the first convolution."""
        return latent.astype(jnp.float32)

    def decode_features(self, latent: Latent) -> Features:
        """Features of `time_factor` frames for every latent of one window."""
        x = nn.with_logical_constraint(latent, ("batch", None, "rows", None, None))
        return self.latents(x)

    def decode_pixels(self, features: Features) -> Pixels:
        """Pixels of each frame by itself, nominally in [-1, 1] and not clipped; float32."""
        x = nn.with_logical_constraint(features, ("batch", None, None, None, None))
        return self.frames(x)


AnyDecoder = VideoVAE | TinyDecoder  # both decode by the same methods, in the same windows
