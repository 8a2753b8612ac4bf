# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""`mugv-jax train`: a config and a folder of samples to checkpoints of a trained model."""

import argparse
import logging
from pathlib import Path

from mugv_jax import config as configs
from mugv_jax.commands.processes import add_processes, join
from mugv_jax.commands.runtime import add_compile_cache, keep_compiled, out_of_memory

DESCRIPTION = "Train MUGDiT, or go on with a run: the same command resumes it."
EXAMPLES = """examples:
  mugv-jax train --config configs/mugv_debug.py --output runs/first \\
    --config.data.paths="('samples',)" --config.run.steps=200
  mugv-jax train --config configs/mugv_10b.py --output /shared/run --distributed \\
    --config.data.paths="('samples',)" --config.mesh.fsdp=16 --config.mesh.tensor=4

Every field of the config can be set by --config.GROUP.FIELD=VALUE.
"""
MEMORY = (
    "split more (config.mesh), make config.data.tokens_per_shard smaller and config.run.accumulate "
    "larger, or keep less (config.run.remat=full, config.optimizer.moment_dtype=bfloat16)"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.description, parser.epilog = DESCRIPTION, EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.set_defaults(overrides=())
    parser.add_argument("--config", required=True, metavar="FILE", help="such as configs/...py")
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
    from mugv_jax.train.config import from_config_dict
    from mugv_jax.train.loop import train

    keep_compiled(args.compile_cache)
    logging.getLogger("absl").setLevel(logging.CRITICAL)  # Orbax's faults come as ours, in a line
    with out_of_memory(MEMORY):
        train(from_config_dict(values), args.output.expanduser())
