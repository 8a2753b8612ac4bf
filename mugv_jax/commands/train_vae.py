# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""`mugv-jax train-vae`: a config and folders of clips to checkpoints of a trained video VAE."""

import argparse
import logging
from pathlib import Path

from mugv_jax import config as configs
from mugv_jax.commands.processes import add_processes, join
from mugv_jax.commands.runtime import add_compile_cache, keep_compiled, out_of_memory

DESCRIPTION = "Train the video VAE, or go on with a run: the same command resumes it."
EXAMPLES = """examples:
  mugv-jax train-vae --config configs/vae_demo.py --output runs/vae \\
    --config.data.paths="('clips',)"

Every field of the config can be set by --config.GROUP.FIELD=VALUE.
"""
MEMORY = (
    "make config.data.rows, config.data.picture_rows, config.data.size or config.data.frames "
    "smaller, or use more devices: each has its own clips"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.description, parser.epilog = DESCRIPTION, EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.set_defaults(overrides=())
    parser.add_argument("--config", required=True, metavar="FILE", help="such as configs/vae_...py")
    parser.add_argument(
        "--output", required=True, type=Path, metavar="RUN",
        help="folder of checkpoints and metrics; one that has checkpoints is gone on with",
    )  # fmt: skip
    add_compile_cache(parser)
    add_processes(parser)


def run(args: argparse.Namespace) -> None:
    """Trains.

    Raises:
        ValueError: a config, data or weights that do not fit, or a failed start of processes.
    """
    values = configs.override(configs.read(args.config), args.overrides)
    join(args)
    from mugv_jax.train.vae.config import from_config_dict
    from mugv_jax.train.vae.run import train

    keep_compiled(args.compile_cache)
    logging.getLogger("absl").setLevel(logging.CRITICAL)  # Orbax's faults come as ours, in a line
    with out_of_memory(MEMORY):
        train(from_config_dict(values), args.output.expanduser())
