# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Folders of `mugv-jax post`: shared by processes, resumed, and trained on."""

import argparse
import contextlib
import logging
import shlex
from collections.abc import Sequence
from pathlib import Path

import jax

from mugv_jax.commands.options import Group
from mugv_jax.data.replacing import replacing
from mugv_jax.data.samples import CSV

log = logging.getLogger(__name__)


def add_shards(group: Group, shared: str) -> None:
    """Add the options that `shards_of` reads; shared: what the processes share."""
    group.add_argument("--shard-index", type=int, metavar="I", help="number of this process")
    shards = f"number of processes that share the {shared} [1]"
    group.add_argument("--shard-count", type=int, metavar="N", help=shards)


def shards_of(args: argparse.Namespace) -> tuple[int, int]:
    """Number of this process, and of all, from the options or from JAX.

    Raises:
        ValueError: one option without the other, or --overwrite by one of several processes.
    """
    if (args.shard_index is None) != (args.shard_count is None):
        raise ValueError("--shard-index and --shard-count: give both or none.")
    index = jax.process_index() if args.shard_index is None else args.shard_index
    count = jax.process_count() if args.shard_count is None else args.shard_count
    if args.overwrite and count > 1:
        raise ValueError(
            f"--overwrite: {count} processes share the folder, and none may remove what the "
            "others write; remove it before they start."
        )
    return index, count


def anew(
    args: argparse.Namespace, files: Sequence[str]
) -> contextlib.AbstractContextManager[object]:
    """Context in which --output lacks `files` if it is made anew; see `data.replacing`."""
    return replacing(args.output, files, proof=CSV) if args.overwrite else contextlib.nullcontext()


def quoted(path: Path) -> str:
    """A path as a word of a command."""
    return shlex.quote(str(path))


def say_training(method: str, folder: Path) -> None:
    """Say how to train on `folder`; method: name of its config in configs/post."""
    paths = shlex.quote(f"--config.data.paths=({str(folder)!r},)")
    log.info(
        "To train on them: mugv-jax train --config post/%s --output runs/%s "
        "--config.run.weights=DIT %s (the demo's model: post/%s_demo)",
        method,
        method,
        paths,
        method,
    )
