# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""`mugv-jax post reverse`: preference pairs from real clips, without labels."""

import argparse
import logging

from mugv_jax.commands.generate_mugv import DEFAULTS
from mugv_jax.commands.model_options import add_transformer, demo_unless_given, load_transformer
from mugv_jax.commands.options import (
    add_optional,
    add_output,
    add_overwrite,
    add_path,
    add_value,
    local_path,
    number_or,
)
from mugv_jax.commands.post_folders import add_shards, anew, say_training, shards_of
from mugv_jax.commands.runtime import keep_compiled, log_peak_memory, out_of_memory
from mugv_jax.data.samples import CSV
from mugv_jax.flow.guidance import Guidance
from mugv_jax.post.folder import FILES
from mugv_jax.post.reversing import LEVEL, ReverseConfig, reverse_clips
from mugv_jax.systems.mugv.defaults import Defaults, read_defaults

log = logging.getLogger(__name__)

DESCRIPTION = (
    "Make a preference pair of every real clip (RDPO): the clip reversed towards noise and sampled "
    "again wins, the model's own sample loses. The same command resumes."
)
EXAMPLES = """examples:
  mugv-jax post reverse encoded -o heavy
  mugv-jax post reverse encoded --weights weights --dit runs/sft --steps 50 --level 42 -o heavy
  mugv-jax post reverse encoded --weights weights --dit runs/heavy --steps 50 --level 40 -o light
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.set_defaults(run=run)
    add_path(parser, "real", "folder of `mugv-jax data encode`", "REAL", type=local_path)
    add_output(parser, "folder of the pairs", "PAIRS", type=local_path)
    add_overwrite(parser, "make all pairs anew, also with other settings")
    candidates = "samples of the model of which the nearest to the reversed clip loses"
    add_value(parser, "--candidates", ReverseConfig.candidates, candidates, metavar="C")
    add_value(parser, "--batch", ReverseConfig.batch, "clips computed together", metavar="N")
    add_shards(parser, "clips")
    group = parser.add_argument_group("sampling")
    add_optional(group, "--steps", DEFAULTS["steps"], "steps of a whole sample", type=int)
    level = f"steps that are reversed, and sampled again [{LEVEL} of --steps]"
    group.add_argument("--level", type=int, metavar="S", help=level)
    shift = "shift of the steps towards noise; 1 spaces them evenly, auto depends on the size"
    number = number_or("auto", "a number above 0")
    add_optional(group, "--shift", DEFAULTS["shift"], shift, type=number, metavar="RATIO")
    add_value(group, "--seed", ReverseConfig.seed, "seed of all noise")
    scale = "guidance scale of all steps, away from the empty caption; 1 turns it off"
    default = DEFAULTS["guidance"]
    add_optional(group, "--guidance", default, scale, type=float, metavar="SCALE")
    add_transformer(parser)


def run(args: argparse.Namespace) -> None:
    """Make the pairs."""
    index, count = shards_of(args)
    demo_unless_given(args)
    defaults = Defaults() if args.random_weights else read_defaults(args.weights)
    config = ReverseConfig(
        steps=getattr(args, "steps", defaults.steps),
        level=args.level,
        shift=getattr(args, "shift", defaults.shift),
        guidance=Guidance(scale=getattr(args, "guidance", defaults.guidance)),
        candidates=args.candidates,
        batch=args.batch,
        seed=args.seed,
        shard_index=index,
        shard_count=count,
    )
    keep_compiled(args.compile_cache)
    models = load_transformer(args)
    with out_of_memory("give a smaller --batch"), anew(args, FILES):
        done = reverse_clips(args.real, args.output, models, config)
    log.info("%s: %d pairs made, %d of %d here are finished, %d in %s.",
             args.output, done.made, done.finished, done.finished, done.rows, CSV)  # fmt: skip
    log_peak_memory()
    say_training("rdpo", args.output)
