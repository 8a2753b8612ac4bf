# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Models of `mugv-jax generate`, and the options that all models share: size, steps, guidance.

A module `generate_NAME.py` adds system NAME to --model. It has

    WEIGHTS                sentence about the model's weights for the help of --model, or ""
    EXAMPLES               lines of the command's help
    DEFAULTS               option of OF_MODEL -> text of its default
    OPTIONS                names of the model's options that not every model has
    add_arguments(parser)  adds the options of OPTIONS that no other module adds
    prepare(args)          checks all options and returns a function: pipeline -> videos
    open_pipeline(args)    the pipeline; models are loaded when they are needed
    GENERATOR              of a system for texts alone: its `text_to_video.TextGenerator`

The parsed options contain an option of OF_MODEL only if it was given.
"""

import argparse
import functools
import importlib
import importlib.util
import math
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from mugv_jax.commands.options import add_optional, add_switch, add_value, number_or
from mugv_jax.flow.guidance import Guidance
from mugv_jax.systems import NAMES
from mugv_jax.video.pictures import MAX_PIXELS

MAX_SIDE_PX = 16_384  # of a frame in H.264
# Options whose default depends on the model.
OF_MODEL = ("size", "frames", "fps", "steps", "shift", "guidance", "negative_prompt")


@functools.cache
def generators() -> Mapping[str, ModuleType]:
    """Modules of the systems that generate, by the system's name."""
    modules = {name: f"{__package__}.generate_{name}" for name in NAMES}
    return {
        name: importlib.import_module(module)
        for name, module in modules.items()
        if importlib.util.find_spec(module) is not None
    }


def models_with(option: str) -> str:
    """Names of the models that have an option, for the title of its group in --help."""
    return ", ".join(name for name, module in generators().items() if option in module.OPTIONS)


def add_size(parser: argparse.ArgumentParser, default: Callable[[str], str]) -> None:
    """Add the options of a video's size.

    default: option -> text of its default for every model.
    """
    group = parser.add_argument_group("size")
    add_optional(group, "--size", default("size"), "WIDTHxHEIGHT in pixels, or a name")
    add_optional(group, "--frames", default("frames"), "number of frames")
    add_optional(group, "--fps", default("fps"), "frame rate of the file", type=float)


def add_sampling(parser: argparse.ArgumentParser, default: Callable[[str], str]) -> None:
    """Add the options of sampling; `default` as in `add_size`."""
    group = parser.add_argument_group("sampling")
    add_optional(group, "--steps", default("steps"), "denoising steps", type=int)
    add_optional(
        group,
        "--shift",
        default("shift"),
        "shift of the steps towards noise; 1 spaces them evenly, auto depends on the size",
        type=number_or("auto", "a number above 0"),
        metavar="RATIO",
    )
    add_value(group, "--seed", 42, "seed of the first prompt")
    scale = "guidance scale; 1 turns it off and is twice as fast"
    add_optional(group, "--guidance", default("guidance"), scale, type=float, metavar="SCALE")
    rescale = "0 to 1: reduces the contrast of strong guidance"
    add_value(group, "--guidance-rescale", 0.0, rescale, metavar="X")
    add_value(
        group,
        "--guidance-interval",
        "0,1",
        "times with guidance, where 1 is pure noise and 0 the video; steps outside take one "
        "evaluation instead of two",
        metavar="LOW,HIGH",
    )
    together = "run both forwards as one batch: faster on small videos, more memory"
    add_switch(group, "--guidance-together", together)
    negative = "text that guidance leads away from; may be empty"
    add_optional(group, "--negative-prompt", default("negative_prompt"), negative, metavar="TEXT")


def check_upscale(factor: int, width_px: int, height_px: int) -> None:
    """Check that frames can be enlarged and written, before they are made.

    Raises:
        ValueError: a factor below 1, or frames larger than H.264 has them.
    """
    if factor < 1:
        raise ValueError(f"upscale={factor} must be a whole number from 1 up.")
    largest = min(
        MAX_SIDE_PX // max(width_px, height_px), math.isqrt(MAX_PIXELS // (width_px * height_px))
    )
    if factor > max(1, largest):
        raise ValueError(
            f"upscale={factor} makes {width_px}x{height_px} pixels too large to write: it must be "
            f"at most {max(1, largest)}."
        )


def chosen(args: argparse.Namespace) -> dict[str, Any]:
    """Options among OF_MODEL that were given."""
    return {name: getattr(args, name) for name in OF_MODEL if hasattr(args, name)}


def guidance_of(args: argparse.Namespace, scale: float) -> Guidance:
    """Guidance of the given scale, with all else from the options.

    Raises:
        ValueError: an option that is not a number, or out of range.
    """
    return Guidance(
        scale=scale,
        rescale=args.guidance_rescale,
        interval=_interval(args.guidance_interval),
        together=args.guidance_together,
    )


def _interval(text: str) -> tuple[float, float]:
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"guidance interval {text!r} must be LOW,HIGH, such as 0.2,0.8.") from None
    return low, high
