# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The sampler that a config describes: a system's DiT and its run settings."""

import dataclasses
from typing import Any

from ml_collections import ConfigDict

from mugv_jax import config as configs
from mugv_jax.kernels.select import KernelConfig
from mugv_jax.sharding.parallel import ParallelConfig
from mugv_jax.systems.system import System, find
from mugv_jax.train import train_config as training


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Run settings of a sampler.

    dtype: dtype of weights and arithmetic.

    Raises:
        ValueError: a dtype that training does not support.
    """

    dtype: str = "bfloat16"

    def __post_init__(self):
        if self.dtype not in training.DTYPES:
            raise ValueError(f"dtype={self.dtype!r} must be one of {', '.join(training.DTYPES)}.")


# Groups beside those of the models, all optional.
GROUPS = {"mesh": ParallelConfig, "kernels": KernelConfig, "run": RunConfig}


@dataclasses.dataclass(frozen=True, kw_only=True)
class SamplerConfig:
    """One system's DiT and its run settings.

    dit: sizes of the DiT.
    text_tokens: number of text tokens that the DiT reads.
    """

    system: System
    dit: Any
    mesh: ParallelConfig
    kernels: KernelConfig
    run: RunConfig
    text_tokens: int


def read_config(values: ConfigDict) -> training.DiTTrainConfig | SamplerConfig:
    """Training run of a config, or the sampler if the config has no training groups.

    Raises:
        ValueError: unknown or missing names, or values that the dataclasses refuse.
    """
    if "optimizer" in values:
        return training.from_config_dict(values)
    system = configs.system_of(values)
    models: Any = configs.from_config_dict(values)
    groups = {
        name: configs.build_group(name, cls, values.get(name, ConfigDict()))
        for name, cls in GROUPS.items()
    }
    text_tokens = system.text_tokens(models.dit)
    return SamplerConfig(system=system, dit=models.dit, text_tokens=text_tokens, **groups)


def sampler_of(config: training.DiTTrainConfig | SamplerConfig) -> SamplerConfig:
    """Sampler of a config: the config itself, or that of the trained model."""
    if isinstance(config, SamplerConfig):
        return config
    system = find(config.system)
    return SamplerConfig(
        system=system,
        dit=config.dit,
        mesh=config.mesh,
        kernels=config.kernels,
        run=RunConfig(dtype=config.run.dtype),
        text_tokens=system.text_tokens(config.dit),
    )
