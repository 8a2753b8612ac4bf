# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Shared parts of the commands that train: the config and the folder of a run."""

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
    """Add the options of a command that trains; `config` is an example of a config file."""
    parser.description, parser.epilog = description, examples + OVERRIDES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.set_defaults(overrides=())
    parser.add_argument("--config", required=True, metavar="FILE", help=f"config file, {config}")
    parser.add_argument(
        "--output", required=True, type=Path, metavar="RUN",
        help="folder of checkpoints and metrics; a run that has checkpoints is resumed",
    )  # fmt: skip
    add_compile_cache(parser)
    add_processes(parser)


def run(args: argparse.Namespace, train: Callable[[ConfigDict, Path], object], memory: str) -> None:
    """Call `train` with the config's values and the run's folder.

    memory: remedies against a lack of memory, for the error message.

    Raises:
        ValueError: a config, data or weights that do not fit, or a failed start of processes.
    """
    values = configs.override(configs.read(args.config), args.overrides)
    join(args)
    keep_compiled(args.compile_cache)
    logging.getLogger("absl").setLevel(logging.CRITICAL)  # our own message reports Orbax's errors
    with out_of_memory(memory):
        train(values, args.output.expanduser())
