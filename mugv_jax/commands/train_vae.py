# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""`mugv-jax train-vae`: trains a video VAE from a config and clips."""

import argparse
from pathlib import Path

from ml_collections import ConfigDict

from mugv_jax.commands import training

DESCRIPTION = "Train the video VAE; the same command resumes a run."
EXAMPLES = """examples:
  mugv-jax train-vae --config configs/vae_demo.py --output runs/vae \\
    --config.data.paths="('clips',)"
"""
MEMORY = (
    "make config.data.rows, config.data.picture_rows, config.data.size or config.data.frames "
    "smaller, or use more devices: each has its own clips"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    training.add_arguments(parser, DESCRIPTION, EXAMPLES, config="configs/vae_...py")


def run(args: argparse.Namespace) -> None:
    """Train.

    Raises:
        ValueError: a config, data or weights that do not fit, or a failed start of processes.
    """
    training.run(args, _train, MEMORY)


def _train(values: ConfigDict, folder: Path) -> None:
    from mugv_jax.train.vae.run import train
    from mugv_jax.train.vae.vae_config import from_config_dict

    train(from_config_dict(values), folder)
