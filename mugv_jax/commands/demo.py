# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""`mugv-jax demo`: makes the demo's clips, text encoder, reward model and weights."""

import argparse
import json
import logging
import sys
from pathlib import Path

from mugv_jax import cli
from mugv_jax.commands.options import add_output, add_overwrite, add_path, add_value, local_path
from mugv_jax.data.published import ID
from mugv_jax.demo import export, recipe
from mugv_jax.demo.reward import run as reward
from mugv_jax.demo.reward.clips import sampled, split_by_prompt
from mugv_jax.demo.reward.model import save
from mugv_jax.demo.text.probe import FITTED_PER_SCORED, scores
from mugv_jax.demo.text.run import WEIGHTS, train, write
from mugv_jax.demo.text.text_config import TextTrainConfig
from mugv_jax.demo.world.clips import DemoClips
from mugv_jax.demo.world.export import LIST, write_clips
from mugv_jax.demo.world.scene import SPLITS, WORLDS, Format
from mugv_jax.files import check_output_folder, check_writable
from mugv_jax.post.folder import LABELS, read_rows
from mugv_jax.post.labels import Label, read_labels
from mugv_jax.systems.mugv.size import parse_size
from mugv_jax.weights.staging import refuse_existing

log = logging.getLogger(__name__)

WORLD = "Render clips of the demo world as video files with captions, for mugv-jax data encode."
WORLD_EXAMPLES = """examples:
  mugv-jax demo world --split train --count 8192 -o demo/train
  mugv-jax data encode demo/train/captions.csv --size 64x64 --fps 8 --weights ... -o samples
"""
TEXT = "Train the demo's text encoder and its vocabulary, and print its scores as JSON."
REWARD = "Train the demo's reward model on what the checker reads, and print its accuracy as JSON."
REWARD_EXAMPLES = """examples:
  mugv-jax demo reward -o reward.safetensors
  mugv-jax demo reward --samples samples -o reward.safetensors

Samples are those of `mugv-jax post sample` on captions of the small world, with the labels of
`mugv-jax post label --by demo`. Every fifth prompt is not trained on: accuracy is measured on it.
"""
EXPORT = "Write the demo's weights as the package ships them, from the runs that trained them."
TRAIN = "Make the demo's weights from nothing: every stage that is not finished yet."
TRAIN_EXAMPLES = """examples, in the root of the repository:
  mugv-jax demo train -o runs/demo
  mugv-jax demo train -o runs/demo --until vae

Finished stages are skipped and an interrupted one resumes, so the same command goes on.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of all subcommands."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="action")
    for name, text, examples, add in (
        ("world", WORLD, WORLD_EXAMPLES, _add_world),
        ("text", TEXT, None, _add_text),
        ("reward", REWARD, REWARD_EXAMPLES, _add_reward),
        ("export", EXPORT, None, _add_export),
        ("train", TRAIN, TRAIN_EXAMPLES, _add_train),
    ):
        add(actions.add_parser(name, help=text, description=text, epilog=examples))


def _add_folder(parser: argparse.ArgumentParser, name: str, text: str) -> None:
    add_path(parser, name, text, type=local_path, required=True)


def _add_world(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_world)
    parser.add_argument("--split", choices=SPLITS, required=True, help="split that clips belong to")
    parser.add_argument("--count", type=int, required=True, metavar="N", help="number of clips")
    add_output(parser, "folder of clips and captions", "FOLDER", type=local_path)
    add_overwrite(parser, "replace the clips and captions in --output")
    parser.add_argument("--pictures", action="store_true", help="write first frames only, as .png")
    add_value(parser, "--world", "full", "world to draw from", choices=WORLDS)
    add_value(parser, "--seed", 0, "seed of the scenes")
    size = f"{Format.width_px}x{Format.height_px}"
    add_value(parser, "--size", size, "WIDTHxHEIGHT; sides of 64, 80 or 96 pixels")
    add_value(parser, "--frames", Format.frames, "8k+1 frames", metavar="N")
    add_value(parser, "--fps", Format.fps, "frames per second")


def _add_text(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_text)
    out = "folder to write, in T5's layout; checkpoints and curves are in FOLDER_run"
    add_output(parser, out, "FOLDER", type=local_path)
    config = TextTrainConfig
    add_value(parser, "--steps", config.steps, "training steps")
    add_value(parser, "--captions", config.captions, "captions to train on", metavar="N")
    add_value(parser, "--seed", config.seed, "seed of captions, weights and masks")
    probes = "captions that the linear probes are fitted to"
    add_value(parser, "--probes", 8192, probes, metavar="N")
    add_overwrite(parser, "replace an encoder in --output")


def _add_reward(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_reward)
    add_output(parser, "file to write", "FILE.safetensors", type=local_path)
    samples = "folder of `mugv-jax post sample` with videos, to train on besides rendered clips"
    add_path(parser, "--samples", samples, "SAMPLES", type=local_path)
    labels = "labels of the samples by `mugv-jax post label --by demo` [SAMPLES/labels.csv]"
    add_path(parser, "--labels", labels, "CSV", type=local_path)
    config = reward.RewardTrainConfig
    add_value(parser, "--clips", config.clips, "rendered clips to train on")
    add_value(parser, "--steps", config.steps, "training steps")
    add_value(parser, "--seed", config.seed, "seed of scenes, weights and batches")
    add_overwrite(parser, "replace the file")


def _add_export(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_export)
    _add_folder(parser, "--dit", "training run of the DiT")
    _add_folder(parser, "--vae", "training run of the VAE")
    _add_folder(parser, "--text", "folder of the text encoder")
    add_output(parser, "folder to write", "FOLDER", type=local_path)
    add_overwrite(parser, "replace weights in --output")
    for name, text in (("steps", "denoising steps"), ("guidance", "guidance scale")):
        text = f"{text}, for defaults.json; the best measured"
        add_value(parser, f"--{name}", export.DEFAULTS[name], text)


def _add_train(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_train)
    add_output(parser, "folder of all stages", "FOLDER", type=local_path)
    add_overwrite(parser, "make all stages anew, also finished ones")
    assets, text = Path("mugv_jax/assets/demo"), "folder for the exported weights"
    add_value(parser, "--assets", assets, text, type=local_path, metavar="FOLDER")
    add_value(parser, "--until", recipe.STAGES[-1], "last stage to run", choices=recipe.STAGES)


def _world(args: argparse.Namespace) -> None:
    check_output_folder(args.output)
    refuse_existing(args.output / LIST, overwrite=args.overwrite)
    width, height = parse_size(args.size)
    clips = DemoClips(
        split=args.split,
        count=args.count,
        seed=args.seed,
        format=Format(height_px=height, width_px=width, frames=args.frames, fps=args.fps),
        world=WORLDS[args.world],
    )
    write_clips(clips, args.output, pictures=args.pictures)
    log.info("wrote %s: %d clips with captions", args.output, args.count)


def _text(args: argparse.Namespace) -> None:
    if args.probes < FITTED_PER_SCORED:
        raise ValueError(f"--probes={args.probes} must be at least {FITTED_PER_SCORED}.")
    config = TextTrainConfig(steps=args.steps, captions=args.captions, seed=args.seed)
    refuse_existing(args.output / WEIGHTS, overwrite=args.overwrite)  # before any training
    trained = train(config, args.output.with_name(f"{args.output.name}_run"))
    write(trained, args.output, overwrite=args.overwrite)
    sys.stdout.write(json.dumps(scores(trained, args.probes), indent=2) + "\n")


def _reward(args: argparse.Namespace) -> None:
    config = reward.RewardTrainConfig(clips=args.clips, steps=args.steps, seed=args.seed)
    refuse_existing(args.output, overwrite=args.overwrite)  # before any training
    check_writable(args.output)
    seen = held_out = None
    if args.samples is not None:
        rows = read_rows(args.samples, "prompt", "video_path")
        labels = read_labels(args.labels or args.samples / LABELS, {row[ID] for row in rows})
        parts = {label.id: label.parts for label in labels if isinstance(label, Label)}
        seen, held_out = (sampled(args.samples, each, parts) for each in split_by_prompt(rows))
    params = reward.train(config, seen)
    save(params, args.output, overwrite=args.overwrite)
    found = reward.scores(params, config, held_out)
    sys.stdout.write(json.dumps(found, indent=2) + "\n")


def _export(args: argparse.Namespace) -> None:
    defaults = export.DEFAULTS | {"steps": args.steps, "guidance": args.guidance}
    refuse_existing(args.output / export.DIT, overwrite=args.overwrite)
    sizes = export.export(args.dit, args.vae, args.text, args.output, defaults=defaults)
    for name, size in [*sizes.items(), (args.output, sum(sizes.values()))]:
        sys.stdout.write(f"{size / 1e6:6.2f} MB  {name}\n")


def _train(args: argparse.Namespace) -> None:
    if args.overwrite:
        recipe.forget(args.output)
    recipe.train(args.output, args.assets, _command, until=args.until)


def _command(arguments: list[str]) -> None:
    """Run another `mugv-jax` command; if it fails, exit with its status."""
    status = cli.main(arguments)
    if status:
        sys.exit(status)
