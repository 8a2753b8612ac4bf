# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Options of the commands that encode videos and captions into training samples."""

import argparse
from typing import Any

import jax

from mugv_jax.commands import generate_contentv
from mugv_jax.commands.model_options import (
    add_models,
    demo_unless_given,
    load_models,
    tiling_of,
)
from mugv_jax.commands.options import add_switch, add_value, flag
from mugv_jax.data.clips import ClipRule
from mugv_jax.data.encode import EncodeConfig
from mugv_jax.systems.encoding import SampleEncoder
from mugv_jax.systems.sizes import listed, parse_frames, parse_size
from mugv_jax.systems.system import find

DEFAULT_PIXELS = 1280 * 720
ENCODED = ("mugv", "contentv")  # systems with models that encode samples


def add_encoders(parser: argparse.ArgumentParser) -> None:
    """Add the options that `load_encoders` reads."""
    add_models(parser)
    parser.add_argument(
        "--model",
        choices=ENCODED,
        default=ENCODED[0],
        help="model whose encoders make the samples [%(default)s]",
    )


def load_encoders(args: argparse.Namespace) -> SampleEncoder[Any]:
    """The models that encode samples, of the options' system.

    Raises:
        ValueError: options that exclude each other or lack one, or weights that cannot be used.
    """
    if args.model == ENCODED[0]:
        demo_unless_given(args)
        return load_models(args, needs_dit=False)
    for name in ("text_encoder", "tokenizer"):
        if getattr(args, name) is not None:
            raise ValueError(
                f"{flag(name)} is of --model {ENCODED[0]}: {args.model} has three text encoders, "
                "all in --weights."
            )
    return generate_contentv.GENERATOR.load_models(args)


def add_clips(parser: argparse.ArgumentParser) -> None:
    """Add the options of the frames that are taken from a file."""
    group = parser.add_argument_group("clips")
    size = group.add_mutually_exclusive_group()
    names = "; of ".join(f"{system.title} {listed(system.sizes)}" for system in map(find, ENCODED))
    frame = f"WIDTHxHEIGHT that frames are scaled and cropped to, multiples of 16, or of {names}"
    size.add_argument("--size", help=frame)
    pixels = f"keep the aspect ratio of frames, with at most N pixels [{DEFAULT_PIXELS}]"
    size.add_argument("--pixels", type=int, metavar="N", help=pixels)
    fps = "frame rate that videos are read at; slower videos are read at their own rate"
    add_value(group, "--fps", ClipRule.fps, fps)
    add_value(
        group,
        "--max-frames",
        "5s",
        "longest clip, which is the first 8k+1 frames of a video: a number, 3s (73) or 5s (105); "
        "of ContentV 4k+1, 5s (125)",
        metavar="N",
    )


def add_work(parser: argparse.ArgumentParser) -> None:
    """Add the options of the work and its share."""
    group = parser.add_argument_group("work")
    add_switch(group, "--sample-posterior", "draw latents from the VAE's posterior [take its mean]")
    group.add_argument("--seed", type=int, help="seed of --sample-posterior [0]")
    for name, default, text in (
        ("--text-batch", EncodeConfig.text_batch, "captions that a text encoder reads at once"),
        ("--threads", EncodeConfig.threads, "files that are decoded ahead and held in memory"),
        ("--max-bad", EncodeConfig.max_bad, "skip at most N files that cannot be used"),
    ):
        add_value(group, name, default, text, metavar="N")
    index, count = "number of this process, from 0", "number of processes that share the list [1]"
    group.add_argument("--shard-index", type=int, metavar="I", help=index)
    group.add_argument("--shard-count", type=int, metavar="N", help=count)


def encode_config(args: argparse.Namespace) -> EncodeConfig:
    """The settings of both groups of options.

    Raises:
        ValueError: options that contradict each other or are out of range.
    """
    if (args.shard_index is None) != (args.shard_count is None):
        raise ValueError("--shard-index and --shard-count: give both or none.")
    if args.seed is not None and not args.sample_posterior:
        raise ValueError("--seed is that of --sample-posterior: give both or none.")
    system = find(args.model)
    size = None if args.size is None else parse_size(args.size, system.sizes)
    clip = ClipRule(
        fps=args.fps,
        size=size,
        pixels=DEFAULT_PIXELS if args.pixels is None and size is None else args.pixels,
        max_frames=parse_frames(args.max_frames, system.lengths, system.size.FRAMES_FORM),
        stride=system.size.TEMPORAL,
    )
    return EncodeConfig(
        clip=clip,
        posterior_seed=(args.seed or 0) if args.sample_posterior else None,
        text_batch=args.text_batch,
        threads=args.threads,
        max_bad=args.max_bad,
        shard_index=jax.process_index() if args.shard_index is None else args.shard_index,
        shard_count=jax.process_count() if args.shard_count is None else args.shard_count,
        tiling=tiling_of(args.vae_tile, system),
    )
