# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""`mugv-jax convert`, and the options of every command that writes a checkpoint."""

import argparse
from collections.abc import Sequence

from mugv_jax.commands.options import add_lora, add_overwrite, local_path
from mugv_jax.systems.convert import convert
from mugv_jax.weights.convert import PEFT, Target
from mugv_jax.weights.formats import FORMATS
from mugv_jax.weights.registry import MODELS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `mugv-jax convert`."""
    parser.description = "Convert weights between published files and Orbax checkpoints."
    parser.add_argument(
        "src",
        metavar="SRC",
        help="checkpoint file or folder, published or Orbax, or the folder of a whole pipeline",
    )
    parser.add_argument("--model", choices=sorted(MODELS), help="model that SRC holds [inferred]")
    add_target_arguments(parser, (*FORMATS, PEFT))
    parser.add_argument("--ema", action="store_true", help="read the averaged weights of SRC")
    add_lora(parser, "adapter to merge in")


def add_target_arguments(parser: argparse.ArgumentParser, formats: Sequence[str] = FORMATS) -> None:
    """Add DST and the options that `target_of` reads."""
    parser.add_argument(
        "dst",
        type=local_path,
        metavar="DST",
        help="x.pt, x.safetensors, or a folder (Orbax, or as --format says)",
    )
    parser.add_argument("--format", choices=formats, help="format of DST [from its name]")
    parser.add_argument(
        "--tensor-parallel", type=int, default=1, metavar="N", help="number of Megatron ranks"
    )
    parser.add_argument("--dtype", help="cast weights to this dtype, such as bfloat16 [no cast]")
    add_overwrite(parser, "replace DST, once the new one is complete")


def target_of(args: argparse.Namespace) -> Target:
    """Checkpoint to write, from parsed options.

    Raises:
        ValueError: see `Target`.
    """
    return Target(
        args.dst,
        args.format,
        tensor_parallel=args.tensor_parallel,
        dtype=args.dtype,
        overwrite=args.overwrite,
    )


def run(args: argparse.Namespace) -> None:
    """Convert the checkpoint or pipeline of the parsed options."""
    convert(
        args.src,
        args.dst,
        kind=args.model,
        format=args.format,
        tensor_parallel=args.tensor_parallel,
        ema=args.ema,
        lora=args.lora,
        lora_alpha=args.lora_alpha,
        dtype=args.dtype,
        overwrite=args.overwrite,
    )
