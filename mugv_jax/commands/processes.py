# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Options of a command that is one of several processes of a run."""

import argparse

from mugv_jax import console
from mugv_jax.commands.options import add_switch


def add_processes(parser: argparse.ArgumentParser) -> None:
    """Add the options that `join` reads."""
    group = parser.add_argument_group("many processes")
    join = "join the processes of a run under SLURM, Kubernetes (GKE), Open MPI or on TPU pods"
    add_switch(group, "--distributed", join)
    group.add_argument("--coordinator", metavar="HOST:PORT", help="elsewhere: address of process 0")
    group.add_argument("--processes", type=int, help="elsewhere: number of processes")
    group.add_argument("--process", type=int, help="elsewhere: number of this process, from 0")


def join(args: argparse.Namespace) -> None:
    """Join the other processes, if there are any; only the first one logs.

    Raises:
        ValueError: incomplete options, or processes that cannot join.
    """
    named = (args.coordinator, args.processes, args.process)
    if not args.distributed and all(each is None for each in named):
        return
    if not args.distributed and None in named:
        raise ValueError(
            "--coordinator, --processes and --process belong together: "
            f"there are {args.coordinator}, {args.processes} and {args.process}."
        )
    _check(*named)
    import jax

    try:
        jax.distributed.initialize(*named)
    except (RuntimeError, ValueError, IndexError, TypeError, OverflowError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"the processes cannot join: {reason}") from error
    if jax.process_index() > 0:
        console.silence()


def _check(coordinator: str | None, processes: int | None, process: int | None) -> None:
    """Raise a ValueError for an address or numbers with which no process can join."""
    host, colon, port = (coordinator or "localhost:1").rpartition(":")
    if not (host and colon and port.isdecimal() and 0 < int(port[:6]) < 2**16):
        raise ValueError(
            f"--coordinator={coordinator} must be HOST:PORT of process 0, such as 10.0.0.1:8476."
        )
    if processes is not None and processes < 1:
        raise ValueError(f"--processes={processes} must be at least 1.")
    if process is not None and not 0 <= process < (processes or process + 1):
        raise ValueError(
            f"--process={process} must lie in 0 to {(processes or 1) - 1}: processes are counted "
            "from 0."
        )
