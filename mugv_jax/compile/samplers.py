# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The sampler that a config describes: a system's DiT, and how it runs."""

import dataclasses
from typing import Any

from ml_collections import ConfigDict

from mugv_jax import config as configs
from mugv_jax.kernels.select import KernelConfig
from mugv_jax.sharding.parallel import ParallelConfig
from mugv_jax.systems.system import System
from mugv_jax.train import train_config as training


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunConfig:
    """How a sampler runs.

    dtype: of weights and arithmetic.

    Raises:
        ValueError: a dtype that training does not have.
    """

    dtype: str = "bfloat16"

    def __post_init__(self):
        if self.dtype not in training.DTYPES:
            raise ValueError(f"dtype={self.dtype!r} must be one of {', '.join(training.DTYPES)}.")


# Groups beside those of the models, all optional.
GROUPS = {"mesh": ParallelConfig, "kernels": KernelConfig, "run": RunConfig}


@dataclasses.dataclass(frozen=True, kw_only=True)
class SamplerConfig:
    """One system's DiT, and how it runs.

    dit: sizes of the DiT.
    text_tokens: number of text tokens that it reads.
    """

    system: System
    dit: Any
    mesh: ParallelConfig
    kernels: KernelConfig
    run: RunConfig
    text_tokens: int


def read_config(values: ConfigDict) -> training.DiTTrainConfig | SamplerConfig:
    """Training run that a config describes, or the sampler of a system that is not trained here.

    Raises:
        ValueError: unknown or missing names, or values that the dataclasses refuse.
    """
    system = configs.system_of(values)
    if system is training.SYSTEM:
        return training.from_config_dict(values)
    models: Any = configs.from_config_dict(values)
    groups = {
        name: configs.build_group(name, cls, values.get(name, ConfigDict()))
        for name, cls in GROUPS.items()
    }
    text_tokens = system.text_tokens(models.dit)
    return SamplerConfig(system=system, dit=models.dit, text_tokens=text_tokens, **groups)


def sampler_of(config: training.DiTTrainConfig | SamplerConfig) -> SamplerConfig:
    """Sampler of a config: the config itself, or the sampler of the model that is trained."""
    if isinstance(config, SamplerConfig):
        return config
    return SamplerConfig(
        system=training.SYSTEM,
        dit=config.dit,
        mesh=config.mesh,
        kernels=config.kernels,
        run=RunConfig(dtype=config.run.dtype),
        text_tokens=config.data.text_tokens,
    )
