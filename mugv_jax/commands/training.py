# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""What the commands that train have in common: a config and a folder of the run."""

import argparse
import logging
from collections.abc import Callable
from pathlib import Path

from ml_collections import ConfigDict

from mugv_jax import config as configs
from mugv_jax.commands.processes import add_processes, join
from mugv_jax.commands.runtime import add_compile_cache, keep_compiled, out_of_memory

OVERRIDES = "\nEvery field of the config can be set by --config.GROUP.FIELD=VALUE.\n"


def add_arguments(
    parser: argparse.ArgumentParser, description: str, examples: str, config: str
) -> None:
    """The options of a command that trains; `config` is the like of a file of its configs."""
    parser.description, parser.epilog = description, examples + OVERRIDES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.set_defaults(overrides=())
    parser.add_argument("--config", required=True, metavar="FILE", help=f"such as {config}")
    parser.add_argument(
        "--output", required=True, type=Path, metavar="RUN",
        help="folder of checkpoints and metrics; one that has checkpoints is gone on with",
    )  # fmt: skip
    add_compile_cache(parser)
    add_processes(parser)


def run(args: argparse.Namespace, train: Callable[[ConfigDict, Path], object], memory: str) -> None:
    """`train` on the values of the config, in the run's folder.

    memory: what helps where there is not enough of it.

    Raises:
        ValueError: a config, data or weights that do not fit, or a failed start of processes.
    """
    values = configs.override(configs.read(args.config), args.overrides)
    join(args)
    keep_compiled(args.compile_cache)
    logging.getLogger("absl").setLevel(logging.CRITICAL)  # Orbax's faults come as ours, in a line
    with out_of_memory(memory):
        train(values, args.output.expanduser())
