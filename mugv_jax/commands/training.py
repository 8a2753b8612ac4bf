# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Options and start-up shared by the training commands."""

import argparse
import contextlib
import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
from jax.experimental import multihost_utils
from ml_collections import ConfigDict

from mugv_jax import config as configs
from mugv_jax.commands.options import add_output, add_overwrite, add_path, local_path
from mugv_jax.commands.processes import add_processes, join
from mugv_jax.commands.runtime import add_compile_cache, keep_compiled, out_of_memory
from mugv_jax.data.replacing import replacing
from mugv_jax.files import RUN, check_output_folder
from mugv_jax.problems import Problems

log = logging.getLogger(__name__)

# What a run writes to its folder.
RUN_FILES, CHECKPOINTS = ("checkpoints", "metrics.jsonl", "tensorboard"), "checkpoints"
OVERWRITE = (
    "begin anew instead of resuming: replaces the run in --output, so leave it out of jobs that "
    "restart themselves"
)
OVERRIDES = "\nEvery field of the config can be set by --config.GROUP.FIELD=VALUE.\n"


def add_config(parser: argparse.ArgumentParser, example: str) -> None:
    """Add --config, and --config.GROUP.FIELD=VALUE; example: a name for the help."""
    parser.set_defaults(overrides=())
    text = f"config of the package, such as {example}, or the path of a file"
    add_path(parser, "--config", text, "CONFIG", required=True)


def add_arguments(
    parser: argparse.ArgumentParser, description: str, examples: str, config: str
) -> None:
    """Add the options of a training command; config: name of a config, for the help."""
    parser.description, parser.epilog = description, examples + OVERRIDES
    add_config(parser, config)
    output = "folder of checkpoints and metrics; resumes from its newest checkpoint if any"
    add_output(parser, output, "RUN", type=local_path)
    add_overwrite(parser, OVERWRITE)
    add_compile_cache(parser)
    add_processes(parser)


def run(
    args: argparse.Namespace,
    read: Callable[[ConfigDict], Any],
    train: Callable[[Any, Path, Collection[str]], object],
    memory: str,
) -> None:
    """Read the config, then call `train` with it, the run's folder and the fields set by options.

    read: values of a config file -> config.
    memory: advice in the error message when a device runs out of memory.

    Raises:
        ValueError: config, data and weights that do not match, or processes that fail to connect.
    """
    log.info("starting with %s", args.config)
    check_output_folder(args.output, RUN)
    join(args)
    config = read_config(configs.read(args.config), args.overrides, read)
    keep_compiled(args.compile_cache)
    with out_of_memory(memory), anew(args, [args.output]):
        train(config, args.output, configs.asked(args.overrides))


@contextlib.contextmanager
def anew(
    args: argparse.Namespace, folders: Collection[Path], names: Collection[str] = RUN_FILES
) -> Iterator[None]:
    """Context in which the runs in `folders` begin anew if --overwrite is given.

    names: what a run writes. One process moves it aside; the others wait.

    Raises:
        ValueError: a folder in which another process works.
    """
    with contextlib.ExitStack() as stack:
        if args.overwrite:
            for folder in folders if jax.process_index() == 0 else ():
                stack.enter_context(replacing(folder, names, proof=CHECKPOINTS))
            multihost_utils.sync_global_devices("overwrite")
        yield


def read_config(
    values: ConfigDict, overrides: Sequence[str], read: Callable[[ConfigDict], Any]
) -> Any:
    """The config that `read` makes of the values of a file, with the fields of `overrides` set.

    Raises:
        ValueError: all that is wrong with them; then also files that do not exist.
    """
    config, problems = None, Problems()
    values = configs.override(values, overrides, problems)
    with problems:
        config = read(values)
    if problems:
        configs.note_missing_files(values, problems)
    problems.check()
    return config
