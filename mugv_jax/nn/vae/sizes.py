# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Sizes of the video VAE; the defaults are those of the published `vae.pt`."""

import dataclasses

from mugv_jax.bounds import require_at_least

GROUPS = 32  # of every GroupNorm, as published
CHANNELS_A_GROUP = 4  # in the narrowest layer, if it has fewer than 32 channels


def norm_groups(*widths: int) -> int:
    """Number of groups of every GroupNorm in a network with these numbers of channels.

    32, as published. A network with a narrower layer (none is published) has one group per four
    channels of that layer: a group of one channel would lose the brightness of a picture.

    Raises:
        ValueError: a width that the number of groups does not divide.
    """
    narrowest = min(widths)
    groups = GROUPS if narrowest >= GROUPS else max(1, narrowest // CHANNELS_A_GROUP)
    for width in widths:
        if width < 1 or width % groups:
            raise ValueError(
                f"a width of {width} channels among {widths} must be a multiple of {groups}: with "
                f"{narrowest} channels in the narrowest layer, every GroupNorm has {groups} groups."
            )
    return groups


@dataclasses.dataclass(frozen=True, kw_only=True)
class VAEConfig:
    """Sizes of the video VAE: a picture VAE per frame around a temporal VAE on its features.

    spatial_channels: width at each picture scale; every step after the first halves the picture.
    spatial_layers: ResBlocks per scale of the encoder (the decoder has one more).
    spatial_latent_channels: width of the picture VAE's own latent, which the video VAE skips; only
        tensors that are in the checkpoint but never used have it.
    temporal_filters, temporal_multipliers, temporal_layers: width of temporal stage i is filters *
        multipliers[i]; every step after the first halves time; ResBlocks per stage.
    scaling_factor: spatial features are multiplied by it before the temporal half.
    window_frames: frames that the temporal half sees at once.

    Raises:
        ValueError: sizes that the architecture cannot hold.
    """

    spatial_channels: tuple[int, ...] = (128, 256, 512, 512)
    spatial_layers: int = 2
    spatial_latent_channels: int = 4
    temporal_filters: int = 128
    temporal_multipliers: tuple[int, ...] = (1, 2, 2, 4)
    temporal_layers: int = 4
    latent_channels: int = 24
    scaling_factor: float = 0.18215
    window_frames: int = 48

    def __post_init__(self):
        for field in ("spatial_channels", "temporal_multipliers"):
            object.__setattr__(self, field, tuple(getattr(self, field)))
            if len(getattr(self, field)) < 2:
                raise ValueError(
                    f"{field}={getattr(self, field)} must have at least 2 entries: the VAE halves "
                    "its input once for every entry after the first."
                )
        counts = ("spatial_layers", "spatial_latent_channels", "temporal_layers", "latent_channels")
        require_at_least(1, self, *counts)
        norm_groups(*self.spatial_channels, *self.temporal_channels)
        if self.scaling_factor <= 0:
            raise ValueError(
                f"scaling_factor={self.scaling_factor} must be positive: decoding divides by it."
            )
        if self.window_frames < 1 or self.window_frames % self.time_factor:
            raise ValueError(
                f"window_frames={self.window_frames} must be a positive multiple of "
                f"{self.time_factor}, the frames of one latent."
            )

    @property
    def temporal_channels(self) -> tuple[int, ...]:
        return tuple(self.temporal_filters * m for m in self.temporal_multipliers)

    @property
    def norm_groups(self) -> int:
        """Number of groups of every GroupNorm."""
        return norm_groups(*self.spatial_channels, *self.temporal_channels)

    @property
    def feature_channels(self) -> int:
        """Width of the features between the two halves."""
        return self.spatial_channels[-1]

    @property
    def spatial_factor(self) -> int:
        """Pixels per latent along height and along width."""
        return 2 ** (len(self.spatial_channels) - 1)

    @property
    def time_factor(self) -> int:
        """Frames per latent."""
        return 2 ** (len(self.temporal_multipliers) - 1)

    @property
    def window_latents(self) -> int:
        return self.window_frames // self.time_factor

    def check_picture(self, height: int, width: int) -> None:
        """Check that the sides of a picture, in pixels, are multiples of `spatial_factor`.

        Raises:
            ValueError: they are not.
        """
        factor = self.spatial_factor
        if height % factor or width % factor or not height or not width:
            near = (max(factor, round(side / factor) * factor) for side in (width, height))
            raise ValueError(
                f"a picture of {width}x{height} pixels cannot be encoded: both sides must be "
                f"multiples of {factor}; the nearest size is {'x'.join(map(str, near))}."
            )
