# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The guided step of every system's sampler: what a config says of it, and what it is given."""

import dataclasses
from collections.abc import Callable
from typing import Any

from ml_collections import ConfigDict

from mugv_jax import config as configs
from mugv_jax.compile.videos import VIDEOS
from mugv_jax.flow.denoiser import Denoiser
from mugv_jax.kernels.select import KernelConfig
from mugv_jax.nn.mmdit.model import MMDiTConfig
from mugv_jax.nn.mugdit.sizes import DiTConfig
from mugv_jax.nn.wan.dit import WanDiTConfig
from mugv_jax.sharding.parallel import ParallelConfig
from mugv_jax.systems.contentv.denoiser import ContentvDenoiser
from mugv_jax.systems.enhancer.denoiser import EnhancerDenoiser
from mugv_jax.systems.mugv.denoiser import MugvDenoiser
from mugv_jax.systems.system import SYSTEMS, ContentvConfig, EnhancerConfig, MugvConfig
from mugv_jax.train import train_config as training


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunConfig:
    """dtype: of weights and arithmetic.

    Raises:
        ValueError: another dtype than those of training.
    """

    dtype: str = "bfloat16"

    def __post_init__(self):
        if self.dtype not in training.DTYPES:
            raise ValueError(f"dtype={self.dtype!r} must be one of {', '.join(training.DTYPES)}.")


# Beside the models', all optional.
GROUPS = {"mesh": ParallelConfig, "kernels": KernelConfig, "run": RunConfig}


@dataclasses.dataclass(frozen=True, kw_only=True)
class SamplerConfig:
    """A system's DiT, of sizes `dit`, and how it runs; `text_tokens` are those that it reads."""

    system: type
    dit: DiTConfig | WanDiTConfig | MMDiTConfig
    mesh: ParallelConfig
    kernels: KernelConfig
    run: RunConfig
    text_tokens: int


def read_config(values: ConfigDict) -> training.TrainConfig | SamplerConfig:
    """MUG-V is trained as well, and its config tells how; of the others only the sampler is run.

    Raises:
        ValueError: unknown or missing names, or values that the dataclasses refuse.
    """
    if values.get(configs.SYSTEM, "mugv") == "mugv":
        return training.from_config_dict(values)
    models = configs.from_config_dict(values)
    groups = {
        name: configs.build_group(name, cls, values.get(name, ConfigDict()))
        for name, cls in GROUPS.items()
    }
    text_tokens = VIDEOS[type(models)].text_tokens(models.dit)
    return SamplerConfig(system=type(models), dit=models.dit, text_tokens=text_tokens, **groups)


def sampler_of(config: training.TrainConfig | SamplerConfig) -> SamplerConfig:
    """What a config says of its sampler."""
    if isinstance(config, SamplerConfig):
        return config
    return SamplerConfig(
        system=MugvConfig,
        dit=config.dit,
        mesh=config.mesh,
        kernels=config.kernels,
        run=RunConfig(dtype=config.run.dtype),
        text_tokens=config.data.text_tokens,
    )


def title(system: type) -> str:
    """What users call a system."""
    return next(name for name, each in SYSTEMS.items() if each is system)


DENOISERS: dict[type, Callable[[Any], Denoiser]] = {
    MugvConfig: MugvDenoiser,
    EnhancerConfig: EnhancerDenoiser,
    ContentvConfig: ContentvDenoiser,
}
