# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The video VAE: frames to 2D features to latents of 8 frames each, and back in windows."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .vae_spatial import Autoencoder
from .vae_temporal import TemporalVAE


class Frozen(nn.Module):
    """Wrapper that gives the autoencoder its published name, `spatial_vae.module`."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module


class VideoVAE(nn.Module):
    """Video VAE with the arguments stored in golden cases; windows have `micro_frame_size` frames.

    The 2D half runs on `micro_batch_size` frames at a time, which bounds its memory.
    """

    def __init__(
        self,
        *,
        spatial: dict,
        temporal: dict,
        micro_frame_size: int = 48,
        micro_batch_size: int = 4,
        scaling_factor: float = 0.18215,
    ):
        super().__init__()
        temporal = dict(temporal)
        self.time_factor = temporal.pop("time_downsample")
        self.window = micro_frame_size
        self.frames_at_once = micro_batch_size
        self.scaling_factor = scaling_factor
        self.spatial_vae = Frozen(Autoencoder(**spatial))
        self.temporal_vae = TemporalVAE(**temporal)
        statistics = (1, temporal["latent_embed_dim"], 1, 1, 1)
        self.register_buffer("shift", torch.zeros(statistics))
        self.register_buffer("scale", torch.ones(statistics))
        self.register_buffer("logvar", torch.zeros(()))

    def _each_frame(self, function: nn.Module, x: Tensor) -> Tensor:
        """Apply a 2D network to all frames of (b, c, f, h, w)."""
        frames = x.transpose(1, 2).flatten(0, 1)
        out = torch.cat([function(part) for part in frames.split(self.frames_at_once)])
        return out.unflatten(0, (x.shape[0], x.shape[2])).transpose(1, 2)

    def spatial_features(self, x: Tensor) -> Tensor:
        """(b, 3, f, h, w) in [-1, 1] -> (b, c, f, h / 8, w / 8)."""
        return self._each_frame(self.spatial_vae.module.encoder, x) * self.scaling_factor

    def posterior(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance, one latent per 8 frames; a short group is zero-padded in front."""
        features = F.pad(features, (0, 0, 0, 0, -features.shape[2] % self.time_factor, 0))
        batch = features.shape[0]
        groups = features.unflatten(2, (-1, self.time_factor)).transpose(1, 2).flatten(0, 1)
        statistics = self.temporal_vae.posterior(groups)
        mean, log_variance = (
            s[:, :, 0].unflatten(0, (batch, -1)).transpose(1, 2) for s in statistics
        )
        return mean, log_variance

    def encode(self, x: Tensor) -> Tensor:
        """The normalised posterior mean (b, 24, ceil(f / 8), h / 8, w / 8)."""
        features = self.spatial_features(x)
        if features.shape[2] % self.time_factor == 1:
            first = features[:, :, :1].expand(-1, -1, self.time_factor - 1, -1, -1)
            features = torch.cat([first, features], dim=2)
        windows = features.split(self.window, dim=2)
        mean = torch.cat([self.posterior(window)[0] for window in windows], dim=2)
        return (mean - self.shift) / self.scale

    def decode(self, z: Tensor, num_frames: int) -> Tensor:
        """(b, 24, f, h, w) -> (b, 3, num_frames, 8 h, 8 w); surplus frames are cut off in front."""
        z = z * self.scale + self.shift
        pixels = []
        for start, part in enumerate(z.split(self.window // self.time_factor, dim=2)):
            features = self.temporal_vae.decode(part) / self.scaling_factor
            frames = min(self.window, num_frames - start * self.window)
            decoder = self.spatial_vae.module.decoder
            pixels.append(self._each_frame(decoder, features[:, :, -frames:]))
        return torch.cat(pixels, dim=2)
