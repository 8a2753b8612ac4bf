# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""`mugv-jax expand SRC DST`: expand a MUGDiT in width or depth without changing its function."""

import argparse
import logging

from mugv_jax.commands.convert import add_target_arguments, target_of
from mugv_jax.commands.options import add_path, add_value, local_path
from mugv_jax.train.expand import KIND, Expansion, expanded
from mugv_jax.weights.check import identify
from mugv_jax.weights.convert import write
from mugv_jax.weights.formats import open_source

logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.description = "Expand a MUGDiT in width or depth without changing its outputs."
    add_path(parser, "src", "checkpoint or training run, as for `convert`", "SRC", type=local_path)
    add_value(parser, "--factor", 1, "multiplier of width and number of heads", metavar="E")
    depth = "number of blocks of the larger model; new blocks start as identities [unchanged]"
    parser.add_argument("--depth", type=int, metavar="N", help=depth)
    add_value(
        parser,
        "--noise",
        0.0,
        "standard deviation of the noise on the copies of weights, relative to that of the copies; "
        "it sums to zero over the copies, so outputs do not change",
        metavar="S",
    )
    add_value(parser, "--seed", 0, "seed of the noise")
    parser.add_argument("--ema", action="store_true", help="read the EMA weights of SRC")
    add_target_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Write the larger model.

    Raises:
        ValueError: SRC is not a MUGDiT, sizes out of range, or DST cannot be written.
    """
    expansion = Expansion(factor=args.factor, depth=args.depth, noise=args.noise, seed=args.seed)
    target = target_of(args)
    target.check_path(args.src)
    with open_source(args.src, ema=args.ema) as source:
        _, config = identify(source, KIND)
        larger = expansion.config(config)
        write(expanded(source, expansion), target)
    logger.info(
        "%d blocks of width %d -> %d of width %d",
        config.depth, config.width, larger.depth, larger.width,
    )  # fmt: skip
