# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The video VAE: pixels - spatial half - features - temporal half - latent, and back.

This module works on one window; `systems/mugv/windows.py` runs whole videos in bounded memory.
"""

import einops
import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike

from mugv_jax.axes import Array, Float, Latent, Pixels
from mugv_jax.nn.conv import TemporalConv
from mugv_jax.nn.layers import match_rank
from mugv_jax.nn.vae.sizes import VAEConfig
from mugv_jax.nn.vae.spatial import SpatialDecoder, SpatialEncoder
from mugv_jax.nn.vae.temporal import TemporalDecoder, TemporalEncoder

LOG_VARIANCE_RANGE = (-30.0, 20.0)

Features = Float[Array, "b _f _h _w _c"]


class VideoVAE(nn.Module):
    """Video VAE with 8x8x8 pixels per latent (published `MUGAutoencoderPipeline`).

    Variables: "params", and "constants" with `shift` and `scale` (c), the mean and the standard
    deviation of every latent channel over the training data. Everywhere outside this module,
    latents are normalised by them.
    """

    config: VAEConfig
    dtype: DTypeLike

    def setup(self):
        channels = self.config.latent_channels
        self.spatial_encoder = SpatialEncoder(self.config, self.dtype)
        self.spatial_decoder = SpatialDecoder(self.config, self.dtype)
        self.temporal_encoder = TemporalEncoder(self.config, self.dtype)
        self.temporal_decoder = TemporalDecoder(self.config, self.dtype)
        self.quant_conv = TemporalConv(2 * channels, window=1, dtype=self.dtype)
        self.post_quant_conv = TemporalConv(channels, window=1, dtype=self.dtype)
        self.shift = self.variable("constants", "shift", jnp.zeros, (channels,))
        self.scale = self.variable("constants", "scale", jnp.ones, (channels,))

    def __call__(self, pixels: Pixels) -> Pixels:
        """Reconstruction of one window; uses every parameter, so that `init` creates them all."""
        mean, _ = self.encode_moments(self.encode_features(pixels))
        latent = self.denormalize(self.normalize(mean))
        return self.decode_pixels(self.decode_features(latent))

    def encode_features(self, pixels: Pixels) -> Features:
        """Features of each frame by itself, 8x8 pixels to one, from pixels in [-1, 1].

        Raises:
            ValueError: a side of the picture is no multiple of `spatial_factor`.
        """
        self.config.check_picture(*pixels.shape[2:4])
        x = einops.rearrange(pixels, "b f h w c -> (b f) h w c")
        x = nn.with_logical_constraint(x, ("frames", None, None, None))
        x = self.spatial_encoder(x) * self.config.scaling_factor
        return einops.rearrange(x, "(b f) h w c -> b f h w c", f=pixels.shape[1])

    def encode_moments(self, features: Features) -> tuple[Latent, Latent]:
        """Mean and log-variance of the posterior: one latent for every 8 frames, each by itself.

        If the number of frames is no multiple of 8, zero features are put in front.
        """
        batch, frames = features.shape[:2]
        group = self.config.time_factor
        x = jnp.pad(features, ((0, 0), (-frames % group, 0), (0, 0), (0, 0), (0, 0)))
        x = einops.rearrange(x, "b (g f) h w c -> (b g) f h w c", f=group)
        x = nn.with_logical_constraint(x, ("batch", None, "rows", None, None))
        x = self.quant_conv(self.temporal_encoder(x))
        x = einops.rearrange(x, "(b g) 1 h w c -> b g h w c", b=batch)
        mean, log_variance = jnp.split(x, 2, axis=-1)
        return mean, jnp.clip(log_variance, *LOG_VARIANCE_RANGE)

    def decode_features(self, latent: Latent) -> Features:
        """Features of 8 frames for every latent of one window; `latent` is not normalised."""
        x = nn.with_logical_constraint(latent, ("batch", None, "rows", None, None))
        return self.temporal_decoder(self.post_quant_conv(x))

    def decode_pixels(self, features: Features) -> Pixels:
        """Pixels of each frame by itself, nominally in [-1, 1] and not clipped; float32."""
        # XLA cannot go from split rows to split frames directly: gather the small frames first.
        x = nn.with_logical_constraint(features, ("batch", None, None, None, None))
        x = einops.rearrange(x, "b f h w c -> (b f) h w c")
        x = nn.with_logical_constraint(x, ("frames", None, None, None))
        x = self.spatial_decoder(x / self.config.scaling_factor)
        return einops.rearrange(x, "(b f) h w c -> b f h w c", f=features.shape[1])

    def normalize(self, latent: Latent) -> Latent:
        """(latent - shift) / scale: roughly zero mean and unit variance per channel."""
        shift, scale = self._statistics(latent)
        return (latent.astype(jnp.float32) - shift) / scale

    def denormalize(self, latent: Latent) -> Latent:
        """The inverse of `normalize`."""
        shift, scale = self._statistics(latent)
        return latent.astype(jnp.float32) * scale + shift

    def _statistics(self, latent: Latent) -> tuple[Array, Array]:
        shift, scale = (
            match_rank(constant.value.astype(jnp.float32), latent)
            for constant in (self.shift, self.scale)
        )
        return shift, scale
