# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""A training run of the video VAE: the groups of its config file, as frozen dataclasses."""

import dataclasses

from ml_collections import ConfigDict

from mugv_jax.bounds import require_at_least
from mugv_jax.data.pixels import PixelConfig
from mugv_jax.nn.vae.discriminator import DiscriminatorConfig
from mugv_jax.nn.vae.sizes import VAEConfig
from mugv_jax.train.optimizer import OptimizerConfig
from mugv_jax.train.train_config import RunConfig, TrainConfig, read_groups
from mugv_jax.train.vae.loss import VaeLossConfig

PARTS = ("whole", "spatial", "temporal")


@dataclasses.dataclass(frozen=True, kw_only=True)
class VaeRunConfig(RunConfig):
    """A run of the video VAE.

    picture_weights: a picture VAE (diffusers `AutoencoderKL`) that the spatial half starts from.
    perceptual: weights of LPIPS, the perceptual network: one file, or VGG16's and the linear ones
        with a comma between them; "" trains without.
    part: what is trained, one of PARTS. "spatial": the spatial half alone, as a VAE of single
        frames whose posterior has a deviation of 1. "temporal": the temporal half alone, on the
        features of a spatial half that stays as it is. Both are much cheaper than the "whole".
    windows: latents that the decoder sees at once, one drawn for each step.
    statistics_batches: batches from which a checkpoint's latent mean and deviation are computed.

    Raises:
        ValueError: values out of range.
    """

    picture_weights: str = ""
    perceptual: str = ""
    part: str = "whole"
    windows: tuple[int, ...] = (1, 4, 8)
    statistics_batches: int = 16

    def __post_init__(self):
        super().__post_init__()
        require_at_least(1, self, "statistics_batches")
        if self.part not in PARTS:
            raise ValueError(f"part={self.part!r} must be one of {', '.join(PARTS)}.")
        if not self.windows or min(self.windows) < 1:
            raise ValueError(f"windows={self.windows} must be one or more numbers above 0.")
        if self.weights and self.picture_weights:
            raise ValueError(
                f"weights={self.weights!r} hold a spatial half already; leave picture_weights "
                "empty, or start from those alone."
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class VaeTrainConfig(TrainConfig):
    """A training run of the video VAE.

    Raises:
        ValueError: groups that contradict each other.
    """

    vae: VAEConfig
    data: PixelConfig
    loss: VaeLossConfig
    discriminator: DiscriminatorConfig
    discriminator_optimizer: OptimizerConfig
    run: VaeRunConfig

    def __post_init__(self):
        super().__post_init__()
        width, height = self.data.size
        self.vae.check_picture(height, width)
        if self.data.frames % self.vae.time_factor > 1:
            factor = self.vae.time_factor
            raise ValueError(
                f"data.frames={self.data.frames} must be {factor} k or {factor} k + 1: a latent is "
                f"of {factor} frames, or of the first one repeated."
            )
        if self.run.perceptual and not self.loss.perceptual:
            raise ValueError(
                f"run.perceptual={self.run.perceptual!r} counts nothing with loss.perceptual=0: "
                "raise that, or give no weights."
            )
        if self.run.part == "temporal" and (self.loss.gan_from is not None or self.run.perceptual):
            raise ValueError(
                "run.part='temporal' makes no pixels to judge: set loss.gan_from=None and leave "
                "run.perceptual empty."
            )
        if self.discriminator_optimizer.freeze:
            raise ValueError("discriminator_optimizer.freeze: the critic is trained whole.")


def from_config_dict(values: ConfigDict) -> VaeTrainConfig:
    """The run of the video VAE that a config file describes.

    Raises:
        ValueError: unknown or missing names, or values that the dataclasses refuse.
    """
    return VaeTrainConfig(**read_groups(VaeTrainConfig, values))
