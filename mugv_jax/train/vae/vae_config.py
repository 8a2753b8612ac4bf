# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Training configuration of the video VAE: the groups of its config file as frozen dataclasses."""

import dataclasses

from ml_collections import ConfigDict

from mugv_jax.bounds import require_at_least
from mugv_jax.data.pixels import PixelConfig
from mugv_jax.nn.vae.discriminator import DiscriminatorConfig
from mugv_jax.nn.vae.sizes import VAEConfig
from mugv_jax.problems import Problems
from mugv_jax.train.optimizer import OptimizerConfig
from mugv_jax.train.train_config import RunConfig, TrainConfig, read_groups
from mugv_jax.train.vae.loss import VaeLossConfig

PARTS = ("whole", "spatial", "temporal")


@dataclasses.dataclass(frozen=True, kw_only=True)
class VaeRunConfig(RunConfig):
    """Run settings of the video VAE.

    picture_weights: image VAE (diffusers `AutoencoderKL`) that initialises the spatial half.
    perceptual: weights of the perceptual network LPIPS: one file, or the files of VGG16 and of the
        linear layers separated by a comma; "" trains without it.
    part: trained part, one of PARTS. "spatial": the spatial half alone, as a VAE of single frames
        whose posterior has a standard deviation of 1. "temporal": the temporal half alone, on
        features of a fixed spatial half. Both are much cheaper than "whole".
    windows: decoding window lengths in latent frames; one is drawn for each step.
    statistics_batches: number of batches for the latent mean and standard deviation saved in
        checkpoints.

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
                f"weights={self.weights!r} already include a spatial half: set either weights or "
                "picture_weights, not both."
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class VaeTrainConfig(TrainConfig):
    """Config of a training run of the video VAE.

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
        problems = Problems()
        with problems:
            super().__post_init__()
        with problems:
            width, height = self.data.size
            self.vae.check_picture(height, width)
        with problems:
            if self.data.frames % self.vae.time_factor > 1:
                factor = self.vae.time_factor
                raise ValueError(
                    f"data.frames={self.data.frames} must be {factor} k or {factor} k + 1: a "
                    f"latent encodes {factor} frames, or the first frame repeated."
                )
        with problems:
            if self.run.perceptual and not self.loss.perceptual:
                raise ValueError(
                    f"run.perceptual={self.run.perceptual!r} has no effect with loss.perceptual=0: "
                    "raise loss.perceptual, or leave run.perceptual empty."
                )
        with problems:
            if self.run.part == "temporal" and (
                self.loss.gan_from is not None or self.run.perceptual
            ):
                raise ValueError(
                    "run.part='temporal' makes no pixels to judge: set loss.gan_from=None and "
                    "leave run.perceptual empty."
                )
        with problems:
            if self.discriminator_optimizer.freeze:
                raise ValueError(
                    f"discriminator_optimizer.freeze={self.discriminator_optimizer.freeze} must be "
                    "empty: no part of the critic can be frozen."
                )
        problems.check()


def from_config_dict(values: ConfigDict) -> VaeTrainConfig:
    """Read the config of a video VAE run.

    Raises:
        ValueError: unknown or missing names, or invalid values.
    """
    return VaeTrainConfig(**read_groups(VaeTrainConfig, values))
