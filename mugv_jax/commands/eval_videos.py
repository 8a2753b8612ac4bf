# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""`mugv-jax eval videos`: distances of two folders of videos, paired by name."""

import argparse
import sys

from mugv_jax.bounds import require_at_least
from mugv_jax.commands.eval_metrics import (
    add_metrics,
    add_resolutions,
    anew,
    measures_of,
    settings_of,
)
from mugv_jax.commands.options import add_path, local_path
from mugv_jax.commands.runtime import add_compile_cache, keep_compiled
from mugv_jax.eval.clips import ClipSettings
from mugv_jax.eval.measuring import measure
from mugv_jax.eval.pairs import pair_up
from mugv_jax.eval.reconstruction import videos_row

DESCRIPTION = "Measure the videos of a folder against those of the same names in another one."
EXAMPLES = """examples:
  mugv-jax eval videos originals coded
  mugv-jax eval videos originals coded --lpips vgg16.pth,lpips_vgg.pth -o scores/coded

The same command resumes an interrupted run.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.set_defaults(run=run)
    add_path(parser, "reference", "folder of the references", "REFERENCE", type=local_path)
    add_path(parser, "made", "folder of the videos to measure", "VIDEOS", type=local_path)
    add_metrics(parser, "outputs/videos")
    group = parser.add_argument_group("videos")
    add_resolutions(group, "their own size", ())
    group.add_argument("--frames", type=int, metavar="N", help="frames from the start [all]")
    add_compile_cache(group)


def run(args: argparse.Namespace) -> None:
    """Measure and print the tables.

    Raises:
        ValueError: options, folders or files that cannot be used.
    """
    require_at_least(1, args, "frames")
    if args.resolutions:
        ClipSettings(resolutions=args.resolutions)  # refuses sides off the grid
    settings = settings_of(args, "videos", {"frames": args.frames})
    pairs, bad = pair_up(args.reference, args.made)
    row = videos_row(args.made, pairs, args.resolutions, args.frames)
    measures = measures_of(args)
    keep_compiled(args.compile_cache)
    with anew(args):
        text = measure([row], measures, settings, args.output, bad)
    sys.stdout.write(text or "")
