# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""`mugv-jax train`: trains a model from a config and samples."""

import argparse
from pathlib import Path

from ml_collections import ConfigDict

from mugv_jax.commands import training

DESCRIPTION = "Train MUGDiT; the same command resumes a run."
EXAMPLES = """examples:
  mugv-jax train --config configs/mugv_debug.py --output runs/first \\
    --config.data.paths="('samples',)" --config.run.steps=200
  mugv-jax train --config configs/mugv_10b.py --output /shared/run --distributed \\
    --config.data.paths="('samples',)" --config.mesh.fsdp=16 --config.mesh.tensor=4
"""
MEMORY = (
    "split more (config.mesh), make config.data.tokens_per_shard smaller and config.run.accumulate "
    "larger, or keep less (config.run.remat=full, config.optimizer.moment_dtype=bfloat16)"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    training.add_arguments(parser, DESCRIPTION, EXAMPLES, config="configs/...py")


def run(args: argparse.Namespace) -> None:
    """Train.

    Raises:
        ValueError: a config, data or weights that do not fit, or a failed start of processes.
    """
    training.run(args, _train, MEMORY)


def _train(values: ConfigDict, folder: Path) -> None:
    from mugv_jax.train.diffusion import train
    from mugv_jax.train.train_config import from_config_dict

    train(from_config_dict(values), folder)
