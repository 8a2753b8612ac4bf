# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""`mugv-jax curriculum`: multi-stage training, each stage from the previous one's weights."""

import argparse
import logging

from mugv_jax import config as configs
from mugv_jax.bounds import require_at_least
from mugv_jax.commands.options import add_output, add_overwrite, add_path, add_value, local_path
from mugv_jax.commands.processes import add_processes, join
from mugv_jax.commands.runtime import add_compile_cache, keep_compiled, out_of_memory
from mugv_jax.commands.train import MEMORY
from mugv_jax.commands.training import OVERWRITE, RUN_FILES, anew, read_config
from mugv_jax.files import check_output_folder
from mugv_jax.problems import Problems

log = logging.getLogger(__name__)

DESCRIPTION = (
    "Train several stages in order, each from the (EMA) weights of the previous one, expanded if "
    "its model is larger. Running the same command again resumes the unfinished stage."
)
EXAMPLES = """examples:
  mugv-jax curriculum --stages stages/stage1 stages/stage2 stages/stage3 --output runs --distributed
  mugv-jax curriculum --stages stages/stage2 stages/stage3 --output runs \\
    --config.run.weights=dit.pt

Each stage is a training run in its own folder: runs/stage1 and so on. Fields set by --config apply
to all stages, except run.weights, which applies to the first stage only.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.description, parser.epilog = DESCRIPTION, EXAMPLES
    parser.set_defaults(overrides=())
    stages = "configs of the stages in order (names or files); a stage is named after its file"
    add_path(parser, "--stages", stages, "FILE", type=local_path, nargs="+", required=True)
    add_output(parser, "folder with one run per stage", "RUNS", type=local_path)
    add_overwrite(parser, OVERWRITE.replace("run in", "runs in"))
    add_value(
        parser,
        "--noise",
        0.01,
        "standard deviation of the noise on the copies of weights when a stage is wider than the "
        "previous one, relative to that of the copies; with 0 all copies stay equal",
        metavar="S",
    )
    add_compile_cache(parser)
    add_processes(parser)


def run(args: argparse.Namespace) -> None:
    """Run the stages.

    Raises:
        ValueError: a stage that cannot follow the previous one, or an error of `mugv-jax train`.
    """
    check_output_folder(args.output)
    require_at_least(0, args, "noise")
    join(args)
    from mugv_jax.train.curriculum import EXPANDED, Curriculum, Stage
    from mugv_jax.train.train_config import from_config_dict

    stages, problems = [], Problems()
    for path in args.stages:
        try:
            config = read_config(configs.read(path), args.overrides, from_config_dict)
            stages.append(Stage(path.stem, config))
        except ValueError as error:
            problems.add(error, f"stage {path.stem}: ")
    problems.check()
    keep_compiled(args.compile_cache)
    runs = [args.output / stage.name for stage in stages]
    asked = configs.asked(args.overrides)
    with out_of_memory(MEMORY), anew(args, runs, (*RUN_FILES, EXPANDED)):
        finished = Curriculum(stages=stages, noise=args.noise, asked=asked).run(args.output)
    if finished:
        log.info("all %d stages are finished.", len(stages))
