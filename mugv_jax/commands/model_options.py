# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Options for models, hardware and video sizes, shared by commands."""

import argparse
import logging
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp

from mugv_jax import config as configs
from mugv_jax.commands.options import Group, add_lora, add_path, add_switch, add_value, flag
from mugv_jax.commands.runtime import add_compile_cache
from mugv_jax.kernels.select import ATTENTIONS, MODULATIONS, KernelConfig
from mugv_jax.nn.quantize import NAMES
from mugv_jax.sharding.mesh import parse_mesh
from mugv_jax.systems.mugv.defaults import Defaults, read_defaults
from mugv_jax.systems.mugv.models import MugvModels, demo_weights
from mugv_jax.systems.mugv.system import SYSTEM as MUGV
from mugv_jax.systems.mugv.system import MugvConfig
from mugv_jax.systems.mugv.transformer import MugvTransformer, TransformerConfig
from mugv_jax.systems.sizes import listed
from mugv_jax.systems.system import System, SystemConfig, every, system_of
from mugv_jax.systems.tiles import Tiling

log = logging.getLogger(__name__)

SMALLEST_TILE = 8  # latents per side: of smaller tiles, most is what they read of neighbours


def add_models(parser: argparse.ArgumentParser) -> None:
    """Add the options that `load_models` reads, and those of `add_hardware`."""
    group = parser.add_argument_group("models")
    _add_dit(group, "dit.pt and vae.pt")
    text = "T5 folder or repository [beside the weights, else the published one]"
    add_path(group, "--text-encoder", text)
    add_path(group, "--tokenizer", "tokenizer of T5 [beside T5]")
    add_sizes(group)
    add_hardware(group)


def add_transformer(parser: argparse.ArgumentParser) -> None:
    """Add the options that `load_transformer` reads, and those of `add_hardware` without tiles."""
    group = parser.add_argument_group("model")
    _add_dit(group, "dit.pt")
    add_sizes(group)
    add_hardware(group, tiles=False)


def _add_dit(group: Group, files: str) -> None:
    weights = f"folder or Hugging Face repository with {files}, or the same converted"
    add_path(group, "--weights", weights)
    dit = (
        "DiT in place of that of --weights: a checkpoint, a training run, or the name of a folder "
        "in --weights, such as few_steps of the demo"
    )
    add_path(group, "--dit", dit, "PATH")
    add_lora(group, "adapter to merge into the DiT")


def add_sizes(group: Group) -> None:
    """Add --random-weights and --config, which `sizes_of` reads."""
    random = "use seeded random weights of the sizes in --config: videos are noise"
    add_switch(group, "--random-weights", random)
    add_path(group, "--config", "sizes that --weights must have", "CONFIG")


def add_hardware(group: Group, *, tiles: bool = True) -> None:
    """Add the options that `hardware_of`, `keep_compiled` and (tiles) `tiling_of` read."""
    add_dtype(group)
    for name, known in (("attention", ATTENTIONS), ("modulation", MODULATIONS)):
        group.add_argument(
            f"--{name}", choices=known, help=f"implementation of the DiT's {name} [by platform]"
        )
    add_quantize(group)
    add_offload(group)
    add_mesh(group)
    if tiles:
        add_tiles(group)
    add_compile_cache(group)


def add_dtype(group: Group) -> None:
    """Add the option --dtype."""
    group.add_argument(
        "--dtype",
        choices=("bfloat16", "float32"),
        help="dtype of weights and arithmetic [bfloat16; float32 on CPU]",
    )


def add_mesh(group: Group) -> None:
    """Add the option --mesh."""
    group.add_argument(
        "--mesh",
        default="",
        help="devices per axis: data (videos), fsdp and tensor (weights), sequence (tokens), such "
        "as data=2,tensor=4 [one device]",
    )


def add_tiles(group: Group) -> None:
    """Add the option --vae-tile, which `tiling_of` reads."""
    tile = "run the VAE on square tiles, such as 512: less memory, the same result [whole frames]"
    group.add_argument("--vae-tile", type=int, metavar="PIXELS", help=tile)


def add_quantize(group: Group) -> None:
    """Add the option --quantize."""
    group.add_argument(
        "--quantize",
        choices=NAMES,
        help="weights of DiT and T5 in 8 bits, half the memory; int8 is more accurate; w8a8: "
        "the DiT multiplies in 8 bits too, which an H200 does not do faster [off]",
    )


def add_offload(group: Group) -> None:
    """Add the option --offload."""
    add_switch(
        group,
        "--offload",
        "keep the DiT's layers in the host's memory and copy each to the device when it is its "
        "turn: the device holds two of them",
    )


def add_video(parser: argparse.ArgumentParser, *, size: str) -> None:
    """Add the options --size (by default `size`) and --frames, as `System.parse` reads them."""
    first, *others = every()
    named = "".join(
        f"; of {system.title} {', '.join(system.sizes)}"
        for system in others
        if system.sizes != first.sizes
    )
    sizes = f"WIDTHxHEIGHT in pixels, width first, or {listed(first.sizes)}{named}"
    add_value(parser, "--size", size, sizes)
    forms = {f"{each.size.FRAMES_FORM} with {each.size.VAE}": None for each in others}
    lengths = []
    for name, count in first.lengths.items():
        differing = "".join(
            f"; of {system.title} {system.lengths[name]}"
            for system in others
            if system.lengths.get(name, count) != count
        )
        lengths.append(f"{name} ({count}{differing})")
    frames = f"{first.size.FRAMES_FORM} ({', '.join(forms)}), or {', '.join(lengths)}"
    add_value(parser, "--frames", "5s", frames)


def demo_unless_given(args: argparse.Namespace, note: str = "") -> None:
    """Put the demo's folder where --weights is not given, unless weights are random, and say so.

    note: what else to say of it.
    """
    if args.weights is None and not args.random_weights:
        args.weights = demo_weights()
        log.info("No --weights, so the demo model is used.%s", note)


def defaults_of(args: argparse.Namespace) -> Defaults:
    """Defaults of the models that the options name, of the demo if they name no weights.

    Raises:
        ValueError: no such folder or repository, or a file with values that cannot be used.
    """
    demo_unless_given(args)
    if args.random_weights:
        return Defaults()
    return read_defaults(args.weights, dit=args.dit, lora=args.lora)


def load_models(args: argparse.Namespace, *, needs_dit: bool = True) -> MugvModels:
    """Models of MUG-V that the options name.

    needs_dit: weights without a DiT are an error.

    Raises:
        ValueError: options that exclude each other or lack one, or weights that cannot be used.
    """
    config = sizes_of(
        args, MUGV, files=("weights", "dit", "lora", "lora_alpha", "text_encoder", "tokenizer")
    )
    options = hardware_of(args)
    if args.random_weights:
        assert isinstance(config, MugvConfig)
        return MugvModels.random(config, **options)
    return MugvModels.from_pretrained(
        args.weights,
        dit=args.dit,
        lora=args.lora,
        lora_alpha=args.lora_alpha,
        text_encoder=args.text_encoder,
        tokenizer=args.tokenizer,
        expected=config,
        needs_dit=needs_dit,
        **options,
    )


def load_transformer(args: argparse.Namespace) -> MugvTransformer:
    """The DiT of MUG-V that the options name.

    Raises:
        ValueError: options that exclude each other or lack one, or weights that cannot be used.
    """
    config = sizes_of(args, MUGV, files=("weights", "dit", "lora", "lora_alpha"))
    options = hardware_of(args)
    if args.random_weights:
        assert isinstance(config, MugvConfig)
        assert config.dit is not None
        return MugvTransformer.random(TransformerConfig(dit=config.dit), **options)
    return MugvTransformer.from_pretrained(
        args.weights,
        dit=args.dit,
        lora=args.lora,
        lora_alpha=args.lora_alpha,
        expected=config,
        **options,
    )


def sizes_of(
    args: argparse.Namespace, system: System, *, files: Sequence[str]
) -> SystemConfig | None:
    """Sizes in --config: those of random weights, and those that other weights must have.

    files: options that name weights.

    Raises:
        ValueError: sizes of another system, or options that exclude each other or lack one.
    """
    config = None if args.config is None else configs.load(args.config)
    example = f"{system.name}_debug"
    if config is not None and not isinstance(config, system.config):
        raise ValueError(
            f"config {args.config} is of {system_of(config).name}, not of {system.name}: give one "
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
    """Arguments of `systems.models.Models` from the options of `add_hardware`.

    Raises:
        ValueError: a mesh that cannot be read.
    """
    return {
        "mesh": parse_mesh(args.mesh),
        "dtype": None if args.dtype is None else jnp.dtype(args.dtype),
        "quantize": args.quantize,
        "offload": args.offload,
        "kernels": KernelConfig(attention=args.attention, modulation=args.modulation),
    }


def tiling_of(tile_px: int | None, system: System) -> Tiling | None:
    """Square tiles of `tile_px` pixels for a system's VAE; None for whole frames.

    Raises:
        ValueError: tiles off the grid, or too small.
    """
    if tile_px is None:
        return None
    stride = system.size.SPATIAL
    smallest = SMALLEST_TILE * stride
    if tile_px < smallest or tile_px % stride:
        raise ValueError(
            f"vae tile={tile_px} must be a multiple of {stride} pixels from {smallest} up; the "
            f"nearest is {max(smallest, round(tile_px / stride) * stride)}."
        )
    return Tiling(rows=tile_px // stride, columns=tile_px // stride)
