# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The options that say which models a command runs, and on what."""

import argparse
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp

from mugv_jax import config as configs
from mugv_jax.commands.runtime import add_compile_cache, path_text
from mugv_jax.kernels.select import ATTENTIONS, MODULATIONS, KernelConfig
from mugv_jax.nn.quantize import DTYPES
from mugv_jax.sharding.mesh import parse_mesh
from mugv_jax.systems.mugv.models import MugvModels
from mugv_jax.systems.mugv.size import STRIDE
from mugv_jax.systems.mugv.windows import Tiling
from mugv_jax.systems.system import SYSTEMS, MugvConfig, System

SMALLEST_TILE_PX = 8 * STRIDE


def add_models(parser: argparse.ArgumentParser) -> None:
    """The options that `load_models` reads, and those of `add_hardware`."""
    group = parser.add_argument_group("models")
    group.add_argument(
        "--weights",
        type=path_text,
        metavar="FOLDER",
        help="folder or Hugging Face repository with dit.pt and vae.pt, or the same converted",
    )
    group.add_argument(
        "--dit",
        type=path_text,
        metavar="PATH",
        help="another DiT than that of --weights: a checkpoint, or a training run",
    )
    group.add_argument(
        "--lora", type=path_text, metavar="FOLDER", help="peft adapter to merge into the DiT"
    )
    group.add_argument(
        "--text-encoder",
        type=path_text,
        metavar="FOLDER",
        help="T5 folder or repository [beside the weights, else the published one]",
    )
    group.add_argument(
        "--tokenizer", type=path_text, metavar="FOLDER", help="of T5, if it lies elsewhere"
    )
    add_sizes(group)
    add_hardware(group)


def add_sizes(group: argparse._ActionsContainer) -> None:
    """The options that `sizes_of` reads, beside --weights."""
    group.add_argument(
        "--random-weights",
        action="store_true",
        help="seeded random weights of the sizes in --config: the picture is noise",
    )
    group.add_argument(
        "--config", type=path_text, metavar="FILE", help="sizes, which --weights must then have"
    )


def add_hardware(group: argparse._ActionsContainer) -> None:
    """The options that `hardware_of`, `tiling_of` and `keep_compiled` read."""
    group.add_argument(
        "--dtype",
        choices=("bfloat16", "float32"),
        help="of weights and arithmetic [bfloat16; float32 on CPU]",
    )
    for name, known in (("attention", ATTENTIONS), ("modulation", MODULATIONS)):
        group.add_argument(
            f"--{name}", choices=known, help=f"implementation of the DiT's {name} [by platform]"
        )
    add_quantize(group)
    group.add_argument(
        "--mesh",
        default="",
        help="devices per axis: data (videos), fsdp and tensor (weights), sequence (tokens), such "
        "as data=2,tensor=4 [one device]",
    )
    group.add_argument(
        "--vae-tile",
        type=int,
        metavar="PIXELS",
        help="run the VAE on overlapping square tiles, such as 512, to save memory [whole frames]",
    )
    add_compile_cache(group)


def add_quantize(group: argparse._ActionsContainer) -> None:
    """The option that `load_models` reads."""
    group.add_argument(
        "--quantize",
        choices=tuple(DTYPES),
        help="hold the weights of DiT and T5 in 8 bits, half the memory; int8 is closer [off]",
    )


def load_models(args: argparse.Namespace, *, needs_dit: bool = True) -> MugvModels:
    """The models that the options name.

    needs_dit: weights without a DiT are an error.

    Raises:
        ValueError: options that exclude each other or lack one, or weights that cannot be used.
    """
    config = sizes_of(
        args,
        MugvConfig,
        files=("weights", "dit", "lora", "text_encoder", "tokenizer"),
        example="configs/mugv_debug.py",
    )
    options = hardware_of(args)
    if args.random_weights:
        return MugvModels.random(config, **options)
    return MugvModels.from_pretrained(
        args.weights,
        dit=args.dit,
        lora=args.lora,
        text_encoder=args.text_encoder,
        tokenizer=args.tokenizer,
        expected=config,
        needs_dit=needs_dit,
        **options,
    )


def sizes_of(
    args: argparse.Namespace, system: type, *, files: Sequence[str], example: str
) -> System | None:
    """The sizes in --config, which random weights are made of and others must have.

    files: the options that name weights.  example: a config of the system.

    Raises:
        ValueError: sizes of another system, or options that exclude each other or lack one.
    """
    config = None if args.config is None else configs.load(args.config)
    if config is not None and not isinstance(config, system):
        names = {of: name for name, of in SYSTEMS.items()}
        raise ValueError(
            f"config {args.config} is of {names[type(config)]}, not of {names[system]}: give one "
            f"such as {example}."
        )
    if args.random_weights:
        for name in files:
            if getattr(args, name) is not None:
                raise ValueError(f"{flag(name)} and --random-weights exclude each other.")
        if config is None:
            raise ValueError(f"--random-weights needs --config, such as {example}.")
    elif args.weights is None:
        raise ValueError(
            "no weights: give --weights FOLDER (published or converted files), or "
            f"--random-weights --config {example} to try things out."
        )
    return config


def hardware_of(args: argparse.Namespace) -> dict[str, Any]:
    """What the options of `add_hardware` ask of `systems.models.Models`.

    Raises:
        ValueError: a mesh that cannot be read.
    """
    return {
        "mesh": parse_mesh(args.mesh),
        "dtype": None if args.dtype is None else jnp.dtype(args.dtype),
        "quantize": args.quantize,
        "kernels": KernelConfig(attention=args.attention, modulation=args.modulation),
    }


def tiling_of(tile_px: int | None) -> Tiling | None:
    """Square tiles of so many pixels; None works on whole frames.

    Raises:
        ValueError: tiles off the grid, or too small.
    """
    if tile_px is None:
        return None
    if tile_px < SMALLEST_TILE_PX or tile_px % STRIDE:
        raise ValueError(
            f"vae tile={tile_px} must be a multiple of {STRIDE} pixels from {SMALLEST_TILE_PX} up."
        )
    return Tiling(rows=tile_px // STRIDE, columns=tile_px // STRIDE)


def flag(name: str) -> str:
    """The option that argparse keeps under `name`."""
    return f"--{name.replace('_', '-')}"
