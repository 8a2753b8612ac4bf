# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Models of `mugv-jax generate`, and the options that all models share: size, steps, guidance.

A module `generate_NAME.py` adds system NAME to --model. It has

    WEIGHTS                sentence about the model's weights for the help of --model, or ""
    EXAMPLES               lines of the command's help
    DEFAULTS               option of OF_MODEL -> text of its default
    OPTIONS                names of the model's options that not every model has
    add_arguments(parser)  adds the options of OPTIONS that no other module adds
    prepare(args)          checks all options and returns a function that makes the videos

The parsed options contain an option of OF_MODEL only if it was given.
"""

import argparse
import functools
import importlib
import importlib.util
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from mugv_jax.flow.guidance import Guidance
from mugv_jax.systems import NAMES

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
    group.add_argument(
        "--size",
        default=argparse.SUPPRESS,
        help=f"WIDTHxHEIGHT in pixels, or a name [{default('size')}]",
    )
    group.add_argument(
        "--frames", default=argparse.SUPPRESS, help=f"number of frames [{default('frames')}]"
    )
    group.add_argument(
        "--fps",
        type=float,
        default=argparse.SUPPRESS,
        help=f"frame rate of the file [{default('fps')}]",
    )


def add_sampling(parser: argparse.ArgumentParser, default: Callable[[str], str]) -> None:
    """Add the options of sampling; `default` as in `add_size`."""
    group = parser.add_argument_group("sampling")
    group.add_argument(
        "--steps", type=int, default=argparse.SUPPRESS, help=f"denoising steps [{default('steps')}]"
    )
    group.add_argument(
        "--shift",
        type=_shift,
        default=argparse.SUPPRESS,
        metavar="RATIO",
        help="shift of the steps towards noise; 1 spaces them evenly, auto depends on the size "
        f"[{default('shift')}]",
    )
    group.add_argument(
        "--seed", type=int, default=42, help="seed of the first prompt [%(default)s]"
    )
    group.add_argument(
        "--guidance",
        type=float,
        default=argparse.SUPPRESS,
        metavar="SCALE",
        help=f"guidance scale; 1 turns it off and is twice as fast [{default('guidance')}]",
    )
    group.add_argument(
        "--guidance-rescale",
        type=float,
        default=0.0,
        metavar="X",
        help="0 to 1: reduces the contrast of strong guidance [%(default)s]",
    )
    group.add_argument(
        "--guidance-interval",
        default="0,1",
        metavar="LOW,HIGH",
        help="times with guidance, where 1 is pure noise and 0 the video; steps outside take one "
        "evaluation instead of two [%(default)s]",
    )
    group.add_argument(
        "--guidance-together",
        action="store_true",
        help="run both forwards as one batch: faster on small videos, more memory",
    )
    group.add_argument(
        "--negative-prompt",
        default=argparse.SUPPRESS,
        metavar="TEXT",
        help=f"text that guidance leads away from; may be empty [{default('negative_prompt')}]",
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


def _shift(text: str) -> float | None:
    try:
        return None if text.lower() == "auto" else float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} must be a number above 0, or auto") from None


def _interval(text: str) -> tuple[float, float]:
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"guidance interval {text!r} must be LOW,HIGH, such as 0.2,0.8.") from None
    return low, high
