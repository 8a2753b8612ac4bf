# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""`mugv-jax demo`: makes the demo's clips, text encoder and weights."""

import argparse
import json
import sys
from pathlib import Path

from mugv_jax import cli
from mugv_jax.commands.runtime import path_text
from mugv_jax.demo import export, recipe
from mugv_jax.demo.text.probe import FITTED_PER_SCORED, scores
from mugv_jax.demo.text.run import WEIGHTS, train, write
from mugv_jax.demo.text.text_config import TextTrainConfig
from mugv_jax.demo.world.clips import DemoClips
from mugv_jax.demo.world.export import write_clips
from mugv_jax.demo.world.scene import SPLITS, WORLDS, Format
from mugv_jax.systems.mugv.size import parse_size
from mugv_jax.weights.staging import refuse_existing

WORLD = "Render clips of the demo world as video files with captions, for mugv-jax data encode."
WORLD_EXAMPLES = """examples:
  mugv-jax demo world --split train --count 8192 --out demo/train
  mugv-jax data encode demo/train/captions.csv --size 64x64 --fps 8 --weights ... --out samples
"""
TEXT = "Train the demo's text encoder and its vocabulary, and print its scores as JSON."
EXPORT = "Write the demo's weights as the package ships them, from the runs that trained them."
TRAIN = "Make the demo's weights from nothing: every stage that is not finished yet."
TRAIN_EXAMPLES = """examples, in the root of the repository:
  mugv-jax demo train --out runs/demo
  mugv-jax demo train --out runs/demo --until vae

Finished stages are skipped and an interrupted one resumes, so the same command goes on.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of all subcommands."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="action")
    _add_world(actions.add_parser("world", help=WORLD, allow_abbrev=False))
    _add_text(actions.add_parser("text", help=TEXT, allow_abbrev=False))
    _add_export(actions.add_parser("export", help=EXPORT, allow_abbrev=False))
    _add_train(actions.add_parser("train", help=TRAIN, allow_abbrev=False))


def _folder(text: str) -> Path:
    return Path(path_text(text)).expanduser()


def _add_world(parser: argparse.ArgumentParser) -> None:
    parser.description, parser.epilog = WORLD, WORLD_EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.set_defaults(action_run=_world)
    parser.add_argument("--split", choices=SPLITS, required=True, help="split that clips belong to")
    parser.add_argument("--count", type=int, required=True, metavar="N", help="number of clips")
    parser.add_argument(
        "--out", type=_folder, required=True, metavar="FOLDER", help="folder of clips and captions"
    )
    parser.add_argument("--pictures", action="store_true", help="write first frames only, as .png")
    parser.add_argument(
        "--world", choices=WORLDS, default="full", help="world to draw from [%(default)s]"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the scenes [%(default)s]")
    size = f"{Format.width_px}x{Format.height_px}"
    parser.add_argument(
        "--size", default=size, help="WIDTHxHEIGHT; sides of 64, 80 or 96 pixels [%(default)s]"
    )
    parser.add_argument(
        "--frames", type=int, default=Format.frames, metavar="N", help="8k+1 frames [%(default)s]"
    )
    parser.add_argument(
        "--fps", type=float, default=Format.fps, help="frames per second [%(default)s]"
    )


def _add_text(parser: argparse.ArgumentParser) -> None:
    parser.description = TEXT
    parser.set_defaults(action_run=_text)
    parser.add_argument(
        "--out",
        type=_folder,
        required=True,
        metavar="FOLDER",
        help="folder to write, in T5's layout; checkpoints and curves are in FOLDER_run",
    )
    parser.add_argument(
        "--steps", type=int, default=TextTrainConfig.steps, help="training steps [%(default)s]"
    )
    parser.add_argument(
        "--captions", type=int, default=TextTrainConfig.captions, metavar="N",
        help="captions to train on [%(default)s]",
    )  # fmt: skip
    parser.add_argument(
        "--seed", type=int, default=TextTrainConfig.seed,
        help="seed of captions, weights and masks [%(default)s]",
    )  # fmt: skip
    parser.add_argument(
        "--probes", type=int, default=8192, metavar="N",
        help="captions that the linear probes are fitted to [%(default)s]",
    )  # fmt: skip
    parser.add_argument("--overwrite", action="store_true", help="replace an encoder in --out")


def _add_export(parser: argparse.ArgumentParser) -> None:
    parser.description = EXPORT
    parser.set_defaults(action_run=_export)
    for name, text in (
        ("dit", "training run of the DiT"),
        ("vae", "training run of the VAE"),
        ("text", "folder of the text encoder"),
        ("out", "folder to write"),
    ):
        parser.add_argument(f"--{name}", type=_folder, required=True, metavar="FOLDER", help=text)
    parser.add_argument(
        "--steps", type=int, default=export.DEFAULTS["steps"],
        help="denoising steps, for defaults.json; the best measured [%(default)s]",
    )  # fmt: skip
    parser.add_argument(
        "--guidance", type=float, default=export.DEFAULTS["guidance"], metavar="SCALE",
        help="guidance scale, for defaults.json; the best measured [%(default)s]",
    )  # fmt: skip


def _add_train(parser: argparse.ArgumentParser) -> None:
    parser.description, parser.epilog = TRAIN, TRAIN_EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.set_defaults(action_run=_train)
    parser.add_argument(
        "--out", type=_folder, required=True, metavar="FOLDER", help="folder of all stages"
    )
    parser.add_argument(
        "--assets", type=_folder, default=Path("mugv_jax/assets/demo"), metavar="FOLDER",
        help="folder for the exported weights [%(default)s]",
    )  # fmt: skip
    parser.add_argument(
        "--until", choices=recipe.STAGES, default=recipe.STAGES[-1],
        help="last stage to run [%(default)s]",
    )  # fmt: skip


def run(args: argparse.Namespace) -> None:
    """Run `mugv-jax demo` with parsed options.

    Raises:
        ValueError: an option or input that cannot be used.
    """
    args.action_run(args)


def _world(args: argparse.Namespace) -> None:
    width, height = parse_size(args.size)
    clips = DemoClips(
        split=args.split,
        count=args.count,
        seed=args.seed,
        format=Format(height_px=height, width_px=width, frames=args.frames, fps=args.fps),
        world=WORLDS[args.world],
    )
    write_clips(clips, args.out, pictures=args.pictures)


def _text(args: argparse.Namespace) -> None:
    if args.probes < FITTED_PER_SCORED:
        raise ValueError(f"--probes={args.probes} must be at least {FITTED_PER_SCORED}.")
    config = TextTrainConfig(steps=args.steps, captions=args.captions, seed=args.seed)
    refuse_existing(args.out / WEIGHTS, overwrite=args.overwrite)  # before any training
    trained = train(config, args.out.with_name(f"{args.out.name}_run"))
    write(trained, args.out, overwrite=args.overwrite)
    sys.stdout.write(json.dumps(scores(trained, args.probes), indent=2) + "\n")


def _export(args: argparse.Namespace) -> None:
    defaults = export.DEFAULTS | {"steps": args.steps, "guidance": args.guidance}
    sizes = export.export(args.dit, args.vae, args.text, args.out, defaults=defaults)
    for name, size in [*sizes.items(), (args.out, sum(sizes.values()))]:
        sys.stdout.write(f"{size / 1e6:6.2f} MB  {name}\n")


def _train(args: argparse.Namespace) -> None:
    recipe.train(args.out, args.assets, _command, until=args.until)


def _command(arguments: list[str]) -> None:
    """Run another `mugv-jax` command; if it fails, exit with its status."""
    status = cli.main(arguments)
    if status:
        sys.exit(status)
