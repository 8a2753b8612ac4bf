# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""`mugv-jax finetune`: from a folder of clips to an adapter, in one command.

    OUTPUT/samples      the clips, encoded
    OUTPUT/prior        clips of the model's own, which keep what it knows
    OUTPUT/checkpoints, metrics.jsonl, tensorboard   the training run
    OUTPUT/pictures     samples of the first captions, on the way
    OUTPUT/adapter      the result, as peft writes it

A second call makes what is missing of the first three, and writes the adapter of the newest step.
"""

import argparse
import dataclasses
import logging
from collections.abc import Collection
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from mugv_jax import config as configs
from mugv_jax.bounds import require_at_least, require_seed
from mugv_jax.commands.model_options import load_models
from mugv_jax.commands.options import (
    add_output,
    add_overwrite,
    add_path,
    add_value,
    local_path,
    positive_number,
)
from mugv_jax.commands.runtime import add_compile_cache, keep_compiled, out_of_memory
from mugv_jax.commands.train import MEMORY
from mugv_jax.commands.training import OVERRIDES, OVERWRITE, RUN_FILES, anew, read_config
from mugv_jax.data.bad_sample import listed
from mugv_jax.data.captions import read_captions
from mugv_jax.data.clips import ClipRule
from mugv_jax.data.encode import EncodeConfig, encode
from mugv_jax.data.generated import read_prompts, write_generated
from mugv_jax.files import RUN, check_output_folder, check_text, existing_file
from mugv_jax.flow.guidance import Guidance
from mugv_jax.systems.mugv.defaults import Defaults, find_defaults, read_defaults
from mugv_jax.systems.mugv.models import MugvModels, demo_weights
from mugv_jax.systems.mugv.pipeline import MugvPipeline
from mugv_jax.systems.mugv.size import STRIDE, VideoSize, parse_frames, parse_size
from mugv_jax.train import finetune as recipe

log = logging.getLogger(__name__)

DESCRIPTION = """Train a LoRA adapter on your own clips: encodes them, chooses the settings, trains
and writes the adapter. Run the command again to continue; nothing done is done twice."""
EXAMPLES = """examples:
  mugv-jax finetune my_clips -o runs/style
  mugv-jax finetune my_clips -o runs/style --weights MUG-V/MUG-V-inference --steps 800
  mugv-jax generate --lora runs/style "a prompt in the words of your captions"
"""
SAMPLES, PRIOR, ADAPTER = "samples", "prior", "adapter"
PROMPTS = "prompts.txt"  # beside weights: captions of what they know
TRAINING = "mugv_10b"  # the config with all groups of training
PRIOR_ROWS = 24  # clips of a small model that are sampled at a time
FEWEST = 3  # clips below which there is little to learn


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.description, parser.epilog = DESCRIPTION, EXAMPLES + OVERRIDES
    parser.set_defaults(overrides=(), dit=None, lora=None, lora_alpha=None, config=None)
    parser.set_defaults(random_weights=False, mesh="", quantize=None, offload=False, dtype=None)
    parser.set_defaults(attention=None, modulation=None)
    clips = (
        "folder of videos and pictures with a .txt beside each, or a .csv, .tsv or .jsonl list "
        "with their path and caption"
    )
    add_path(parser, "clips", clips, "CLIPS", type=local_path)
    add_output(parser, "folder of the run; the adapter is in it", "RUN", type=local_path)
    add_overwrite(parser, OVERWRITE)
    parser.add_argument("--caption", metavar="TEXT", help="caption of files that have none")
    prior = (
        "text file of prompts, one a line, of which the model makes clips that it is trained on "
        f"too, so that it keeps what it knows; none for none [{PROMPTS} beside the weights, if "
        "there is one]"
    )
    add_path(parser, "--prior", prior, "FILE")
    _add_clips(parser)
    _add_training(parser)
    group = parser.add_argument_group("models")
    weights = "folder or Hugging Face repository with dit.pt and vae.pt, or converted [the demo's]"
    add_path(group, "--weights", weights)
    add_path(group, "--text-encoder", "T5 folder or repository [beside the weights]")
    add_path(group, "--tokenizer", "tokenizer of T5 [beside T5]")
    add_compile_cache(group)


def _add_clips(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("clips")
    pixels = f"{recipe.PUBLISHED_PIXELS} pixels in the shape of each clip"
    size = "WIDTHxHEIGHT that frames are scaled and cropped to"
    group.add_argument("--size", help=f"{size} [what the weights state, else {pixels}]")
    frames = f"longest clip [what the weights state, else {recipe.PUBLISHED_FRAMES}]"
    group.add_argument("--frames", metavar="N", help=frames)
    fps = f"rate that clips are read at [what the weights state, else {ClipRule.fps:g}]"
    group.add_argument("--fps", type=float, help=fps)


def _add_training(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("training")
    steps = f"training steps [{recipe.PASSES} passes over the clips]"
    group.add_argument("--steps", type=int, help=steps)
    group.add_argument("--rank", type=int, help=f"rank of the updates [{recipe.RANK}]")
    rate = "learning rate [from the model's size]"
    group.add_argument("--learning-rate", type=positive_number, metavar="X", help=rate)
    add_value(group, "--seed", 0, "seed of the run")


def run(args: argparse.Namespace) -> None:
    """Encode, train and export.

    Raises:
        ValueError: clips, weights or settings that cannot be used.
    """
    check_output_folder(args.output, RUN)
    _check_training(args)
    clips = _read_clips(args)
    args.weights = demo_weights() if args.weights is None else args.weights
    stated = find_defaults(args.weights) is not None
    defaults = read_defaults(args.weights)
    rule, prompts = _clip_rule(args, defaults, stated=stated), _prior_prompts(args)
    log.info("%d files with captions; clips of at most %d frames, %s, %g frames/s", clips,
             rule.max_frames, _size_text(rule), rule.fps)  # fmt: skip
    keep_compiled(args.compile_cache)
    with (
        out_of_memory("give a smaller --size or fewer --frames"),
        anew(args, [args.output], (*RUN_FILES, SAMPLES, PRIOR, ADAPTER)),
    ):
        models = load_models(args)
        folder = args.output / SAMPLES
        done = encode(
            args.clips,
            folder,
            models,
            EncodeConfig(clip=rule, max_bad=max(1, clips // 10)),
            caption=args.caption,
        )
        if done.bad:
            log.warning("%s", listed(done.bad, "file was left out", "files were left out"))
        prior = _make_prior(args, models, defaults, rule, prompts) if prompts else None
        base = recipe.Base(
            dit=models.sources["dit"],
            vae=models.sources["vae"],
            config=models.config,
            defaults=defaults,
            stated=stated,
        )
        _train(args, base, _samples(args, models, folder, prior, len(prompts)))


def _check_training(args: argparse.Namespace) -> None:
    """Refuse settings that the run would refuse after its clips are encoded."""
    for name in ("steps", "rank"):
        require_at_least(1, args, name)
    require_seed("seed", args.seed)
    values = configs.read(TRAINING)
    values.lora.rank = args.rank or recipe.RANK
    if _read_config(values, args).lora is None:
        raise ValueError(
            "lora.rank=0 trains all weights, and finetune writes an adapter: give a rank from 1 "
            "up, or use mugv-jax train."
        )


def _read_config(values: ConfigDict, args: argparse.Namespace) -> Any:
    from mugv_jax.train.train_config import from_config_dict

    return read_config(values, args.overrides, from_config_dict)


def _read_clips(args: argparse.Namespace) -> int:
    """Number of files with captions."""
    if args.caption is not None:
        check_text("caption", args.caption)
        if not args.caption.strip():
            raise ValueError("--caption is empty: describe the clips in words.")
    try:
        count = len(read_captions(args.clips, args.caption))
    except ValueError as error:
        if "caption is missing" not in str(error):
            raise
        raise ValueError(f"{error} --caption TEXT serves all files that have none.") from error
    if count < FEWEST:
        log.warning("There is little to learn from %d files: ten or more are usual.", count)
    return count


def _clip_rule(args: argparse.Namespace, defaults: Defaults, *, stated: bool) -> ClipRule:
    """The frames that are taken from every file."""
    size = parse_size(args.size) if args.size is not None else defaults.size if stated else None
    frames = defaults.frames if stated else recipe.PUBLISHED_FRAMES
    fps = defaults.conditioning_fps if stated else ClipRule.fps
    return ClipRule(
        fps=fps if args.fps is None else args.fps,
        size=size,
        pixels=recipe.PUBLISHED_PIXELS if size is None else None,
        max_frames=frames if args.frames is None else parse_frames(args.frames),
    )


def _size_text(rule: ClipRule) -> str:
    return f"at most {rule.pixels} pixels" if rule.size is None else "{}x{}".format(*rule.size)


def _prior_prompts(args: argparse.Namespace) -> tuple[str, ...]:
    """Prompts of the clips that keep what the model knows."""
    if args.prior == "none":
        return ()
    if args.prior is not None:
        return read_prompts(existing_file(args.prior, "prompts"))
    beside = Path(args.weights) / PROMPTS
    return read_prompts(beside) if beside.is_file() else ()


def _make_prior(
    args: argparse.Namespace,
    models: MugvModels,
    defaults: Defaults,
    rule: ClipRule,
    prompts: tuple[str, ...],
) -> Path:
    """Sample clips of the model's own; returns their folder."""
    width, height = rule.size or recipe.PUBLISHED_SIZE
    frames = (rule.max_frames - 1) // STRIDE * STRIDE + 1  # as clips are cut
    request = defaults.request(
        prompts,
        guidance=Guidance(scale=defaults.guidance),
        aesthetic_score=None,
        conditioning_fps=rule.fps,
        seed=args.seed,
    )
    size = VideoSize(width_px=width, height_px=height, frames=frames)
    assert models.config.dit is not None
    rows = None if recipe.is_large(models.config.dit) else PRIOR_ROWS
    request = dataclasses.replace(request, size=size, rows=rows)
    folder = args.output / PRIOR
    log.info("%d clips of the model's own keep what it knows (prior preservation); missing ones "
             "are made now.", len(prompts))  # fmt: skip
    kept = dataclasses.replace(models, keep_loaded=True)
    made = write_generated(folder, MugvPipeline(kept), request)
    log.info("%d of them were made now.", made)
    return folder


def _samples(
    args: argparse.Namespace, models: MugvModels, folder: Path, prior: Path | None, priors: int
) -> recipe.Samples:
    """What was encoded."""
    from mugv_jax.data.fields import flow_fields
    from mugv_jax.data.open import open_all

    captions = [each.caption for each in read_captions(args.clips, args.caption)]
    tokens = int(np.max(models.tokenize(captions)[1].sum(axis=1)))
    shapes = np.asarray(open_all((str(folder),), flow_fields()).shapes)
    return recipe.Samples(own=folder, shapes=shapes, text_tokens=tokens, prior=prior, priors=priors)


def _train(args: argparse.Namespace, base: recipe.Base, samples: recipe.Samples) -> None:
    """Train with the chosen settings, and export."""
    from mugv_jax.train.diffusion import train

    choices = recipe.choose(
        base,
        samples,
        devices=jax.device_count(),
        cpu=jax.default_backend() == "cpu",
        steps=args.steps,
        rank=args.rank,
        learning_rate=args.learning_rate,
    )
    choices.append(recipe.Choice("run.seed", args.seed, "--seed"))
    asked = configs.asked(args.overrides)
    _print(choices, asked)
    values = recipe.config_of(base, choices, configs.read(TRAINING))
    config = _read_config(values, args)
    with out_of_memory(MEMORY):
        step = train(config, args.output, asked=asked)
    if step < config.run.steps:
        return
    _export(args.output)
    weights = "" if args.weights == demo_weights() else f"--weights {args.weights} "
    log.info("Pictures on the way: %s", args.output / "pictures")
    log.info('To use it: mugv-jax generate %s--lora %s "a prompt in the words of your captions"',
             weights, args.output)  # fmt: skip


def _print(choices: list[recipe.Choice], asked: Collection[str]) -> None:
    """Print every choice with its reason, and which ones the user replaced."""
    log.info("Settings, each of which --config.FIELD=VALUE replaces:")
    for choice in choices:
        log.info("  %s%s", choice, ", replaced by --config" if choice.field in asked else "")


def _export(folder: Path) -> None:
    """Write the newest weights of the run as an adapter of peft."""
    from mugv_jax.weights.convert import convert
    from mugv_jax.weights.orbax_files import steps

    newest = steps(folder)[-1]
    convert(newest, folder / ADAPTER, format="peft", overwrite=True)
