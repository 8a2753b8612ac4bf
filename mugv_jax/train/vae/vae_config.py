# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""One training run of the video VAE: the groups of a config file, as frozen dataclasses."""

import dataclasses

from ml_collections import ConfigDict

from mugv_jax.bounds import require_at_least
from mugv_jax.config import build_group, check_groups
from mugv_jax.data.pixels import PixelConfig
from mugv_jax.nn.vae.discriminator import DiscriminatorConfig
from mugv_jax.nn.vae.sizes import VAEConfig
from mugv_jax.train.optimizer import OptimizerConfig
from mugv_jax.train.train_config import DTYPES, CheckpointConfig, EmaConfig, LogConfig
from mugv_jax.train.vae.loss import VaeLossConfig

PARTS = ("whole", "spatial", "temporal")


@dataclasses.dataclass(frozen=True, kw_only=True)
class VaeRunConfig:
    """steps: updates in all.  seed: of weights, data order, posteriors and windows.

    weights: checkpoint to start from; "" starts from random weights.
    ema_weights: start from the running average in `weights`, which are then a training run.
    picture_weights: a picture VAE (diffusers `AutoencoderKL`) that the spatial half starts from.
    perceptual: weights of LPIPS, the perceptual network: one file, or VGG16's and the linear ones
        with a comma between them; "" trains without.
    part: what is trained, one of PARTS. "spatial": the spatial half alone, as a VAE of single
        frames whose posterior has a deviation of 1. "temporal": the temporal half alone, on the
        features of a spatial half that stays as it is. Both are much cheaper than the "whole".
    windows: latents that the decoder sees at once, one drawn for each step.
    dtype: of arithmetic; master weights are float32.
    statistics_batches: batches that the latent's mean and deviation are taken of at a checkpoint.

    Raises:
        ValueError: values out of range.
    """

    steps: int = 1000
    seed: int = 0
    weights: str = ""
    ema_weights: bool = False
    picture_weights: str = ""
    perceptual: str = ""
    part: str = "whole"
    windows: tuple[int, ...] = (1, 4, 8)
    dtype: str = "bfloat16"
    statistics_batches: int = 16

    def __post_init__(self):
        require_at_least(1, self, "steps", "statistics_batches")
        if self.part not in PARTS:
            raise ValueError(f"part={self.part!r} must be one of {', '.join(PARTS)}.")
        if self.dtype not in DTYPES:
            raise ValueError(f"dtype={self.dtype!r} must be one of {', '.join(DTYPES)}.")
        if not self.windows or min(self.windows) < 1:
            raise ValueError(f"windows={self.windows} must be one or more numbers above 0.")
        if self.weights and self.picture_weights:
            raise ValueError(
                f"weights={self.weights!r} hold a spatial half already; leave picture_weights "
                "empty, or start from those alone."
            )
        if self.ema_weights and not self.weights:
            raise ValueError("ema_weights=True needs weights: the folder of a training run.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class VaeTrainConfig:
    """Everything a training run of the VAE is.

    Raises:
        ValueError: groups that contradict each other.
    """

    vae: VAEConfig
    data: PixelConfig
    loss: VaeLossConfig
    discriminator: DiscriminatorConfig
    optimizer: OptimizerConfig
    discriminator_optimizer: OptimizerConfig
    ema: EmaConfig
    run: VaeRunConfig
    checkpoint: CheckpointConfig
    log: LogConfig

    def __post_init__(self):
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


GROUPS = {
    "vae": VAEConfig,
    "data": PixelConfig,
    "loss": VaeLossConfig,
    "discriminator": DiscriminatorConfig,
    "optimizer": OptimizerConfig,
    "discriminator_optimizer": OptimizerConfig,
    "ema": EmaConfig,
    "run": VaeRunConfig,
    "checkpoint": CheckpointConfig,
    "log": LogConfig,
}


def from_config_dict(values: ConfigDict) -> VaeTrainConfig:
    """Checks every group and field, by name and type.

    Raises:
        ValueError: unknown or missing names, or values that the dataclasses refuse.
    """
    check_groups(values, GROUPS)
    return VaeTrainConfig(
        **{name: build_group(name, cls, values[name]) for name, cls in GROUPS.items()}
    )
