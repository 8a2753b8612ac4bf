# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""`mugv-jax eval`: scores of models.

demo      on captions whose videos a program can check (this file)
vae       reconstruction by VAEs (`eval_vae.py`)
videos    distances of two folders of videos (`eval_videos.py`)
"""

import argparse
import contextlib
import dataclasses
import functools
import sys
from pathlib import Path

from mugv_jax.commands import eval_vae, eval_vbench, eval_videos
from mugv_jax.commands.model_options import (
    add_models,
    defaults_of,
    load_models,
    tiling_of,
)
from mugv_jax.commands.options import (
    add_output,
    add_overwrite,
    add_value,
    local_path,
    on_or_off,
)
from mugv_jax.commands.runtime import keep_compiled, log_peak_memory, out_of_memory
from mugv_jax.data.replacing import replacing
from mugv_jax.demo.eval.adherence import (
    ANSWERS,
    SCORES,
    TASKS,
    USUAL_TASKS,
    DemoEval,
    evaluate,
)
from mugv_jax.demo.eval.generator import PipelineGenerator
from mugv_jax.demo.eval.identity import identify
from mugv_jax.demo.eval.report import report_text, sweep_text
from mugv_jax.demo.eval.sweep import Sweep, evaluate_sweep
from mugv_jax.demo.world.scene import WORLDS, Format
from mugv_jax.files import check_output_folder
from mugv_jax.systems.mugv.defaults import Defaults
from mugv_jax.systems.mugv.pipeline import MugvPipeline
from mugv_jax.systems.mugv.size import parse_size
from mugv_jax.systems.mugv.system import SYSTEM

DEMO = "Score a model on the demo world, by comparing captions with readings of the videos."
EXAMPLES = """examples:
  mugv-jax eval demo --weights weights --clips 200 -o scores/first
  mugv-jax eval demo --weights weights --seeds 2,3,4 -o scores/pooled
  mugv-jax eval demo --weights weights --dit runs/demo --tasks t2v --clips 40 -o scores/quick
  mugv-jax eval demo --weights weights --sweep guidance=1,2,3,4 -o scores/sweeps

The same command resumes an interrupted run; a larger --clips or more --seeds add to its clips.
"""
SWEPT_TASKS = ("t2v", "i2v")  # tasks that sample


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of all subcommands."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="action")
    demo = actions.add_parser("demo", help=DEMO, description=DEMO, epilog=EXAMPLES)
    demo.set_defaults(run=run)
    for name, module in (("vae", eval_vae), ("videos", eval_videos)):
        text, examples = module.DESCRIPTION, module.EXAMPLES
        module.add_arguments(actions.add_parser(name, help=text, description=text, epilog=examples))
    eval_vbench.add_arguments(actions.add_parser("vbench", help=eval_vbench.DESCRIPTION))
    _add_clips(demo)
    _add_sampling(demo)
    add_models(demo)


def _add_clips(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what is measured")
    add_output(
        group,
        "folder of answers.jsonl and scores.json; answers that are there already are kept "
        "[%(default)s]",
        "FOLDER",
        type=local_path,
        required=False,
        default=Path("outputs/scores"),
    )
    add_overwrite(group, "measure everything anew, also with other settings")
    add_value(group, "--world", DemoEval.world, "world of captions", choices=WORLDS)
    group.add_argument(
        "--tasks",
        help=f"tasks, among {','.join(TASKS)} [{','.join(USUAL_TASKS)}; "
        f"{','.join(SWEPT_TASKS)} for a sweep]",
    )
    clips = "clips of each task and seed, for seen and for unseen combinations"
    add_value(group, "--clips", DemoEval.clips, clips, metavar="N")
    group.add_argument(
        "--seeds",
        "--seed",
        type=_seeds,
        default=DemoEval.seeds,
        metavar="N[,N]",
        help="seed of captions and noise, or several, such as 2,3,4, whose clips are scored "
        f"together; training uses 0 [{','.join(map(str, DemoEval.seeds))}]",
    )
    size = f"{Format.width_px}x{Format.height_px}"
    add_value(group, "--size", size, "WIDTHxHEIGHT in pixels")
    add_value(group, "--frames", Format.frames, "frames, 8k+1")
    add_value(group, "--fps", Format.fps, "frame rate of clips and condition of the model")


def _add_sampling(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("sampling")
    group.add_argument(
        "--steps", type=int, help=f"denoising steps [the weights' own, else {Defaults.steps}]"
    )
    guidance = f"guidance scale; 1 is off [the weights' own, else {Defaults.guidance}]"
    group.add_argument("--guidance", type=float, metavar="SCALE", help=guidance)
    renoise = "fresh noise between steps, for models of few steps [the weights' own, else off]"
    group.add_argument("--renoise", type=on_or_off, metavar="on|off", help=renoise)
    sweep = "score at several values, such as guidance=1,2,3,4 or steps=4,8,16,25"
    group.add_argument("--sweep", type=_sweep, metavar="NAME=VALUES", help=sweep)
    add_value(group, "--batch", DemoEval.batch, "clips made at a time", metavar="N")


def _seeds(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(each) for each in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} must be N, or N,N,...") from None


def _sweep(text: str) -> Sweep:
    try:
        return Sweep.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def run(args: argparse.Namespace) -> None:
    """Score the model and print the tables.

    Raises:
        ValueError: options or files that cannot be used, or models that do not fit in memory.
    """
    check_output_folder(args.output)
    defaults = defaults_of(args)
    config, folder = _config(args, defaults), args.output
    if args.sweep:
        args.sweep.configs(config)  # refuses bad values before models load
    tiling = tiling_of(args.vae_tile, SYSTEM)
    keep_compiled(args.compile_cache)
    models = dataclasses.replace(load_models(args), keep_loaded=True)  # every batch uses all models
    generator = functools.partial(PipelineGenerator, MugvPipeline(models, tiling=tiling))
    weights = identify(models)
    with out_of_memory("give a smaller --batch"), contextlib.ExitStack() as stack:
        if args.overwrite:
            sweeps = args.sweep.configs(config) if args.sweep else {}
            parts = [folder / args.sweep.folder(value) for value in sweeps] or [folder]
            for part in parts:
                stack.enter_context(replacing(part, (ANSWERS, SCORES), proof=ANSWERS))
        if args.sweep:
            text = sweep_text(evaluate_sweep(args.sweep, config, generator, weights, folder))
        else:
            text = report_text(evaluate(config, generator(config), weights, folder)["scores"])
    sys.stdout.write(text)
    log_peak_memory()


def _config(args: argparse.Namespace, defaults: Defaults) -> DemoEval:
    width, height = parse_size(args.size)
    tasks = args.tasks or ",".join(SWEPT_TASKS if args.sweep else USUAL_TASKS)
    return DemoEval(
        world=args.world,
        format=Format(height_px=height, width_px=width, frames=args.frames, fps=args.fps),
        tasks=tuple(tasks.split(",")),
        clips=args.clips,
        seeds=args.seeds,
        steps=defaults.steps if args.steps is None else args.steps,
        shift=defaults.shift,
        times=defaults.times if args.steps is None else None,
        renoise=defaults.renoise if args.renoise is None else args.renoise,
        guidance=defaults.guidance if args.guidance is None else args.guidance,
        batch=args.batch,
    )
