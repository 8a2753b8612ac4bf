# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Values of a recipe that do not fit a short run: what is used instead, with a note in the log.

A config file is a recipe, made for a run of usual length. A field that a user set for this run
(`asked`) is used as it is, or refused where it is checked.
"""

import dataclasses
import logging
from collections.abc import Collection
from typing import TypeVar

from mugv_jax.train.optimizer import OptimizerConfig
from mugv_jax.train.train_config import TrainConfig

log = logging.getLogger(__name__)

Config = TypeVar("Config", bound=TrainConfig)
WARMUP_SHARE, DECAY_SHARE = 10, 5  # one part in so many of a run that is too short for the recipe
OPTIMIZERS = ("optimizer", "discriminator_optimizer")


def fitted_to_steps(config: Config, asked: Collection[str] = ()) -> Config:
    """The config with a warm-up and a decay that fit into `config.run.steps`.

    asked: fields that keep their values, such as "optimizer.warmup_steps".
    """
    steps = config.run.steps
    for group in OPTIMIZERS:
        if hasattr(config, group):
            fitted = _shortened(getattr(config, group), group, steps, asked)
            config = dataclasses.replace(config, **{group: fitted})
    return config


def fitted_intervals(config: Config, asked: Collection[str] = ()) -> Config:
    """The config of a run that validates, with intervals that fit into `config.run.steps`.

    asked: fields that keep their values, such as "log.validate_every".
    """
    steps, changed = config.run.steps, {}
    for field, what in (("validate_every", "validates"), ("sample_every", "samples")):
        every = getattr(config.log, field)
        if every > steps and f"log.{field}" not in asked:
            log.info("log.%s=%d is longer than the run of %d steps, which %s once, at its end.",
                     field, every, steps, what)  # fmt: skip
            changed[field] = steps
    return dataclasses.replace(config, log=dataclasses.replace(config.log, **changed))


def _shortened(
    config: OptimizerConfig, group: str, steps: int, asked: Collection[str]
) -> OptimizerConfig:
    """The optimizer with a warm-up and a decay that leave steps between them."""
    decay = config.decay_steps if config.schedule == "annealed" else 0
    fitted = config
    for field, share in (("warmup_steps", WARMUP_SHARE), ("decay_steps", DECAY_SHARE)):
        before, after = getattr(fitted, field), steps // share
        used = field == "warmup_steps" or decay
        too_long = fitted.warmup_steps + (fitted.decay_steps if decay else 0) >= steps
        if used and too_long and before > after and f"{group}.{field}" not in asked:
            log.info("%s.%s=%d is too long for a run of %d steps: it takes %d.",
                     group, field, before, steps, after)  # fmt: skip
            fitted = dataclasses.replace(fitted, **{field: after})
    return fitted
