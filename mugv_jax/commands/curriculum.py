# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""`mugv-jax curriculum`: several training runs, one after the other."""

import argparse
import logging
from pathlib import Path

from mugv_jax import config as configs
from mugv_jax.commands.processes import add_processes, join
from mugv_jax.commands.runtime import add_compile_cache, keep_compiled, out_of_memory
from mugv_jax.commands.train import MEMORY

log = logging.getLogger(__name__)

DESCRIPTION = (
    "Train stage after stage, each from the (averaged) weights of the one before, expanded where "
    "its model is larger. The same command goes on where it was stopped."
)
EXAMPLES = """examples:
  mugv-jax curriculum --stages configs/stages/stage[123].py --output runs --distributed
  mugv-jax curriculum --stages configs/stages/stage2.py configs/stages/stage3.py --output runs \\
    --config.run.weights=dit.pt

A stage is a run in a folder of its own, runs/stage1 and so on. Fields set by --config are set in
all stages, but run.weights in the first only.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.description, parser.epilog = DESCRIPTION, EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.set_defaults(overrides=())
    parser.add_argument(
        "--stages", nargs="+", required=True, type=Path, metavar="FILE",
        help="configs in their order; a file's name is that of its stage",
    )  # fmt: skip
    parser.add_argument(
        "--output", required=True, type=Path, metavar="RUNS", help="folder of the stages' folders"
    )
    parser.add_argument(
        "--noise",
        type=float,
        default=0.01,
        metavar="S",
        help="on the copies of a weight where a stage is wider than the one before, relative to "
        "the weights' standard deviation; without it copies stay equal [%(default)s]",
    )
    add_compile_cache(parser)
    add_processes(parser)


def run(args: argparse.Namespace) -> None:
    """Trains.

    Raises:
        ValueError: a stage that does not fit, or one of the mistakes of `mugv-jax train`.
    """
    values = [configs.override(configs.read(path), args.overrides) for path in args.stages]
    join(args)
    from mugv_jax.train.curriculum import Curriculum, Stage
    from mugv_jax.train.train_config import from_config_dict

    stages = [Stage(path.stem, from_config_dict(each)) for path, each in zip(args.stages, values)]
    keep_compiled(args.compile_cache)
    with out_of_memory(MEMORY):
        finished = Curriculum(stages=stages, noise=args.noise).run(args.output.expanduser())
    if finished:
        log.info("all %d stages are finished.", len(stages))
