# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""`mugv-jax eval vae`: how well VAEs reconstruct clips, as in MUG-V's Table 2."""

import argparse
import dataclasses
import functools
import sys

import jax.numpy as jnp

from mugv_jax import config as configs
from mugv_jax.commands.eval_metrics import (
    add_metrics,
    add_resolutions,
    anew,
    measures_of,
    named,
    settings_of,
)
from mugv_jax.commands.model_options import add_dtype, add_mesh, add_tiles, tiling_of
from mugv_jax.commands.options import add_path, add_switch, add_value
from mugv_jax.commands.runtime import (
    add_compile_cache,
    keep_compiled,
    log_peak_memory,
    out_of_memory,
)
from mugv_jax.eval.clips import RESOLUTIONS, ClipSettings, list_clips
from mugv_jax.eval.measuring import measure
from mugv_jax.eval.reconstruction import check_clips, vae_row
from mugv_jax.eval.vae import Vae
from mugv_jax.files import user_path
from mugv_jax.sharding.mesh import make_mesh, parse_mesh
from mugv_jax.systems.models import default_dtype
from mugv_jax.systems.mugv.models import demo_weights
from mugv_jax.systems.mugv.system import SYSTEM

DESCRIPTION = "Measure how well VAEs reconstruct clips: PSNR, SSIM, LPIPS, FloLPIPS."
EXAMPLES = """examples:
  mugv-jax eval vae clips -o scores/demo
  mugv-jax eval vae clips --weights MUG-V=weights/mugv --weights Wan=weights/contentv/vae \\
    --lpips vgg16.pth,lpips_vgg.pth -o scores/vaes
  mugv-jax eval vae clips ... --shard-index 3 --shard-count 8     on the fourth of eight

The same command resumes an interrupted run; further VAEs and clips add to its answers.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.set_defaults(run=run)
    clips = "videos, folders of them, or .csv, .tsv or .jsonl lists with the column path"
    add_path(parser, "clips", clips, "CLIPS", nargs="+")
    add_metrics(parser, "outputs/vae")
    group = parser.add_argument_group("clips")
    sides = f"{','.join(map(str, RESOLUTIONS))}, those that a video has"
    add_resolutions(group, sides, RESOLUTIONS)
    frames = "longest clip, 8k+1 frames from the start of a video"
    add_value(group, "--frames", ClipSettings.frames, frames)
    group = parser.add_argument_group("VAEs")
    group.add_argument(
        "--weights",
        action="append",
        type=named,
        metavar="[NAME=]PATH",
        help="VAE of any system: a file, a converted folder, a training run, or a folder or "
        "repository that holds one; several make several rows [the demo's]",
    )
    random = "use seeded random weights of the sizes in --config"
    add_switch(group, "--random-weights", random)
    group.add_argument(
        "--config",
        action="append",
        type=named,
        metavar="[NAME=]CONFIG",
        help="sizes of the random weights, such as contentv_debug; several make several rows",
    )
    add_dtype(group)
    add_mesh(group)
    add_tiles(group)
    add_compile_cache(group)


def run(args: argparse.Namespace) -> None:
    """Measure and print the tables.

    Raises:
        ValueError: options or files that cannot be used, or VAEs that do not fit in memory.
    """
    clip = ClipSettings(resolutions=args.resolutions, frames=args.frames)
    mesh = make_mesh(parse_mesh(args.mesh))
    tiling = tiling_of(args.vae_tile, SYSTEM)
    dtype = default_dtype() if args.dtype is None else jnp.dtype(args.dtype)
    settings = settings_of(args, "VAE", {"frames": args.frames})
    vaes = vaes_of(args)
    measures = measures_of(args)
    clips, bad = check_clips(list_clips(map(user_path, args.clips)), clip)
    keep_compiled(args.compile_cache)
    load = functools.partial(Vae.loaded, mesh=mesh, dtype=dtype, tiling=tiling)
    rows = [vae_row(vae, clips, clip, dtype, load) for vae in vaes]
    memory = "give a smaller --vae-tile, fewer --frames or less of --resolutions"
    with out_of_memory(memory), anew(args):
        text = measure(rows, measures, settings, args.output, bad)
    sys.stdout.write(text or "")
    log_peak_memory()


def vaes_of(args: argparse.Namespace) -> list[Vae]:
    """The VAEs of the options.

    Raises:
        ValueError: options that exclude each other or lack one, or weights that are no VAE's.
    """
    if args.random_weights:
        if args.weights:
            raise ValueError("--weights and --random-weights exclude each other.")
        if not args.config:
            raise ValueError("--random-weights needs --config, such as mugv_debug.")
        return [
            Vae.random(configs.load(config), name or user_path(config).stem)
            for name, config in args.config
        ]
    if args.config:
        raise ValueError("--config has the sizes of --random-weights: give both or none.")
    if not args.weights:
        return [dataclasses.replace(Vae.find(demo_weights()), label="demo")]
    return [Vae.find(path, name) for name, path in args.weights]
