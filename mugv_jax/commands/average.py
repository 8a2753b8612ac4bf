# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""`mugv-jax average CHECKPOINT... DST --decay D`: post-hoc EMA of saved checkpoints."""

import argparse
import contextlib
import logging
from collections.abc import Iterable
from pathlib import Path

from mugv_jax.commands.convert import add_target_arguments, target_of
from mugv_jax.train.average import average, weights_of
from mugv_jax.weights.convert import write
from mugv_jax.weights.formats import open_source
from mugv_jax.weights.orbax_files import steps
from mugv_jax.weights.registry import MODELS

logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.description = "Average checkpoints of one model with weights that decay with their age."
    parser.add_argument(
        "src",
        nargs="+",
        metavar="CHECKPOINT",
        help="checkpoints, oldest first; a training run counts as all of its checkpoints",
    )
    parser.add_argument("dst", metavar="DST", help="x.pt, x.safetensors, or a folder (Orbax)")
    parser.add_argument(
        "--decay",
        type=float,
        required=True,
        metavar="D",
        help="weight of a checkpoint relative to the next newer one, in (0, 1]; 1 is the mean",
    )
    parser.add_argument("--last", type=int, metavar="N", help="use only the newest N [all]")
    parser.add_argument(
        "--model", choices=sorted(MODELS), help="kind of model [detected from the checkpoints]"
    )
    add_target_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Write the average.

    Raises:
        ValueError: fewer than two checkpoints, different models, or DST cannot be written.
    """
    if args.last is not None and args.last < 2:
        raise ValueError(f"last={args.last} must be at least 2.")
    paths = list(_checkpoints(Path(src).expanduser() for src in args.src))
    paths = paths[-args.last :] if args.last else paths
    target = target_of(args)
    target.check_path(*paths)
    shares = weights_of(len(paths), args.decay)
    with contextlib.ExitStack() as stack:
        sources = [stack.enter_context(open_source(path)) for path in paths]
        source = average(sources, args.decay, args.model)
        for path, share in zip(paths, shares):
            logger.info("%6.2f %% %s", 100 * share, path)
        write(source, target)


def _checkpoints(paths: Iterable[Path]) -> Iterable[Path]:
    """Paths of all checkpoints; a training run is replaced by the checkpoints of its steps."""
    for path in paths:
        yield from (path.is_dir() and steps(path)) or [path]
