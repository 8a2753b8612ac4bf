# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The options that make a command one of several processes of a run."""

import argparse
import logging


def add_processes(parser: argparse.ArgumentParser) -> None:
    """The options that `join` reads."""
    group = parser.add_argument_group("many processes")
    group.add_argument(
        "--distributed",
        action="store_true",
        help="one of several processes, as SLURM, Kubernetes (GKE), Open MPI or TPU pods set up",
    )
    group.add_argument("--coordinator", metavar="HOST:PORT", help="elsewhere: process 0's")
    group.add_argument("--processes", type=int, help="elsewhere: how many there are")
    group.add_argument("--process", type=int, help="elsewhere: the number of this one, from 0")


def join(args: argparse.Namespace) -> None:
    """Meets the other processes, if there are any; of them all only the first one logs.

    Raises:
        ValueError: options of which some are missing, or processes that do not meet.
    """
    named = (args.coordinator, args.processes, args.process)
    if not args.distributed and all(each is None for each in named):
        return
    if not args.distributed and None in named:
        raise ValueError(
            "--coordinator, --processes and --process belong together: "
            f"there are {args.coordinator}, {args.processes} and {args.process}."
        )
    import jax

    try:
        jax.distributed.initialize(*named)
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"the processes cannot join: {reason}") from error
    if jax.process_index() > 0:
        logging.getLogger().setLevel(logging.WARNING)
