# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Training configuration of a tiny decoder: the groups of its config file as frozen dataclasses."""

import dataclasses

from ml_collections import ConfigDict

from mugv_jax.bounds import require_at_least
from mugv_jax.nn.vae.tiny import TinyDecoderConfig
from mugv_jax.problems import Problems
from mugv_jax.train.train_config import RunConfig, TrainConfig, read_groups
from mugv_jax.train.vae.pairs import PairConfig

GROUP = "tiny_decoder"  # of the sizes; configs of the VAE do not have it


@dataclasses.dataclass(frozen=True, kw_only=True)
class TinyLossConfig:
    """Weights of the terms of the loss in `train/vae/tiny.py`.

    perceptual: weight of the perceptual loss, if the run has a perceptual network.
    frames: frames of every clip in the loss of a step, drawn anew for each; None for all.

    Raises:
        ValueError: negative values, or no loss.
    """

    mse: float = 1.0
    l1: float = 1.0
    perceptual: float = 0.1
    frames: int | None = None

    def __post_init__(self):
        require_at_least(0, self, "mse", "l1", "perceptual")
        if self.frames is not None:
            require_at_least(1, self, "frames")
        if not self.mse + self.l1:
            raise ValueError("mse=0 and l1=0 leave no loss of pixels; raise one of them.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TinyRunConfig(RunConfig):
    """Run settings of a tiny decoder.

    vae: weights of the VAE whose decoder it repeats.
    perceptual: weights of the perceptual network, see `VaeRunConfig`; "" trains without it.

    Raises:
        ValueError: values out of range, or no VAE.
    """

    vae: str = ""
    perceptual: str = ""

    def __post_init__(self):
        super().__post_init__()
        if not self.vae:
            raise ValueError(
                "vae='' must name the weights of the VAE whose decoder is learnt, such as vae.pt."
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class TinyTrainConfig(TrainConfig):
    """Config of a training run of a tiny decoder.

    Raises:
        ValueError: groups that contradict each other.
    """

    tiny_decoder: TinyDecoderConfig
    data: PairConfig
    loss: TinyLossConfig
    run: TinyRunConfig

    def __post_init__(self):
        problems = Problems()
        with problems:
            super().__post_init__()
        factor, stride = self.tiny_decoder.time_factor, self.tiny_decoder.spatial_factor
        with problems:
            if self.data.frames % factor > 1:
                raise ValueError(
                    f"data.frames={self.data.frames} must be {factor} k or {factor} k + 1: a "
                    f"latent encodes {factor} frames, or the first frame repeated."
                )
        with problems:
            if any(side % stride for side in self.data.size):
                raise ValueError(
                    f"data.size={self.data.size} must be multiples of {stride}, the pixels a side "
                    "of one latent."
                )
        with problems:
            if self.run.perceptual and not self.loss.perceptual:
                raise ValueError(
                    f"run.perceptual={self.run.perceptual!r} has no effect with loss.perceptual=0: "
                    "raise loss.perceptual, or leave run.perceptual empty."
                )
        problems.check()


def from_config_dict(values: ConfigDict) -> TinyTrainConfig:
    """Read the config of a run of a tiny decoder.

    Raises:
        ValueError: unknown or missing names, or invalid values.
    """
    return TinyTrainConfig(**read_groups(TinyTrainConfig, values))
