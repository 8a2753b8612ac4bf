# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""`mugv-jax average CHECKPOINT... DST --decay D`: post-hoc EMA of saved checkpoints."""

import argparse
import contextlib
import logging

from mugv_jax.bounds import require_at_least
from mugv_jax.commands.convert import add_target_arguments, target_of
from mugv_jax.commands.options import local_path
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
        type=local_path,
        metavar="CHECKPOINT",
        help="checkpoints, oldest first; a training run counts as all of its checkpoints",
    )
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
    require_at_least(2, args, "last")
    # A training run stands for the checkpoints of its steps.
    paths = [path for src in args.src for path in (src.is_dir() and steps(src)) or [src]]
    paths = paths[-args.last :] if args.last else paths
    target = target_of(args)
    target.check_path(*args.src, *paths)
    shares = weights_of(len(paths), args.decay)
    with contextlib.ExitStack() as stack:
        sources = [stack.enter_context(open_source(path)) for path in paths]
        source = average(sources, args.decay, args.model)
        for path, share in zip(paths, shares):
            logger.info("%6.2f %% %s", 100 * share, path)
        write(source, target)
