# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""`mugv-jax train`: a config and a folder of samples to checkpoints of a trained model."""

import argparse
import logging
from pathlib import Path

from mugv_jax import config as configs

DESCRIPTION = "Train MUGDiT, or go on with a run: the same command resumes it."
EXAMPLES = """examples:
  mugv-jax train --config configs/mugv_debug.py --output runs/first \\
    --config.data.paths="('samples',)" --config.run.steps=200
  mugv-jax train --config configs/mugv_10b.py --output gs://bucket/run --distributed \\
    --config.data.paths="('samples',)" --config.mesh.fsdp=16 --config.mesh.tensor=4

Every field of the config can be set by --config.GROUP.FIELD=VALUE.
"""


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
    processes = parser.add_argument_group("many processes")
    processes.add_argument(
        "--distributed",
        action="store_true",
        help="one of several processes, as SLURM, Kubernetes (GKE), Open MPI or TPU pods set up",
    )
    processes.add_argument("--coordinator", metavar="HOST:PORT", help="elsewhere: process 0's")
    processes.add_argument("--processes", type=int, help="elsewhere: how many there are")
    processes.add_argument("--process", type=int, help="elsewhere: the number of this one, from 0")


def run(args: argparse.Namespace) -> None:
    """Trains.

    Raises:
        ValueError: a config, data or weights that do not fit, or a failed start of processes.
    """
    values = configs.override(configs.read(args.config), args.overrides)
    _join_processes(args)
    import jax

    from mugv_jax.train.config import from_config_dict
    from mugv_jax.train.loop import train

    if jax.process_index() > 0:
        logging.getLogger().setLevel(logging.WARNING)  # one of them speaks for all
    train(from_config_dict(values), args.output.expanduser())


def _join_processes(args: argparse.Namespace) -> None:
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
