# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""`mugv-jax train`: train a diffusion transformer from a config and a folder of samples."""

import functools
import logging
from collections.abc import Collection
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from mugv_jax.commands import training
from mugv_jax.systems import NAMES

log = logging.getLogger(__name__)

DESCRIPTION = "Train a diffusion transformer; running the same command again resumes the run."
EXAMPLES = """examples:
  mugv-jax train --config mugv_debug --output runs/first \\
    --config.data.paths="('samples',)" --config.run.steps=200
  mugv-jax train --config mugv_10b --output /shared/run --distributed \\
    --config.data.paths="('samples',)" --config.mesh.fsdp=16 --config.mesh.tensor=4
"""
MEMORY = (
    "shard more (config.mesh), decrease config.data.tokens_per_shard and increase "
    "config.run.accumulate, or store less (config.run.remat=full, "
    "config.optimizer.moment_dtype=bfloat16)"
)


def _read(values: ConfigDict) -> Any:
    from mugv_jax.train.train_config import from_config_dict

    return from_config_dict(values)


def _train(config: Any, folder: Path, asked: Collection[str]) -> None:
    from mugv_jax.train.diffusion import train

    if train(config, folder, asked=asked) == config.run.steps:
        model = "" if config.system == NAMES[0] else f" --model {config.system} --weights FOLDER"
        log.info('To see what it learnt: mugv-jax generate%s --dit %s "a prompt"', model, folder)


add_arguments = functools.partial(
    training.add_arguments, description=DESCRIPTION, examples=EXAMPLES, config="mugv_10b"
)
run = functools.partial(training.run, read=_read, train=_train, memory=MEMORY)
