# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""What `mugv-jax serve` makes videos with, for the server and for the process of its worker."""

import argparse
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from mugv_jax import console
from mugv_jax.commands import enhancing, generate_mugv
from mugv_jax.commands.model_options import demo_unless_given
from mugv_jax.commands.processes import join
from mugv_jax.commands.runtime import keep_compiled
from mugv_jax.commands.sampling import generators
from mugv_jax.files import read_text, user_path
from mugv_jax.serve.videos.generators import Generator, MugvGenerator, TextGenerator
from mugv_jax.serve.videos.messages import Refused
from mugv_jax.systems.mugv.defaults import Defaults, read_defaults
from mugv_jax.systems.mugv.models import demo_weights
from mugv_jax.video import Video

PROMPTS = "prompts.txt"  # beside weights: captions of what they know
EXAMPLES = 6
PLAIN = (
    "A young woman in a white linen dress walks along a beach at sunset, the camera follows her",
    "A red paper boat drifts down a rain-soaked street, close-up, shallow depth of field",
    "A steaming cup of coffee on a wooden table by the window, slow push-in",
)
DEMO = (
    "These are the weights of the demo, a small model: it makes one coloured object that moves "
    "before a plain backdrop, whatever else a prompt or a picture shows."
)
SUFFIXES = (".safetensors", ".pt", ".bin")


def generator_of(args: argparse.Namespace) -> Generator:
    """The system that the options name, with the defaults of its weights.

    Raises:
        ValueError: defaults beside the weights that cannot be used.
    """
    if args.model != "mugv":
        found = generators()[args.model].GENERATOR
        return TextGenerator(found.system, found.request)
    if args.random_weights:
        return MugvGenerator(Defaults(), fast_decode=args.fast_decode)
    weights = demo_weights() if args.weights is None else args.weights
    defaults = read_defaults(weights, dit=args.dit, lora=args.lora)
    return MugvGenerator(defaults, fast_decode=args.fast_decode)


def loras_of(args: argparse.Namespace) -> dict[str, Path]:
    """Adapters in the folder --loras by name: files, and folders, without their suffix.

    Raises:
        ValueError: no such folder, or nothing in it.
    """
    if args.loras is None:
        return {}
    if not args.loras.is_dir():
        raise ValueError(f"--loras {str(args.loras)!r} is no folder.")
    found = {
        path.stem if path.is_file() else path.name: path.absolute()
        for path in sorted(args.loras.iterdir())
        if not path.name.startswith(".") and (path.is_dir() or path.suffix in SUFFIXES)
    }
    if not found:
        raise ValueError(f"--loras {str(args.loras)!r} has no adapter: a {SUFFIXES[0]} file each.")
    return found


def examples_of(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Requests that the page shows: prompts beside the weights, or of what people film."""
    folder = demo_weights() if args.weights is None and args.model == "mugv" else args.weights
    path = None if folder is None else user_path(folder) / PROMPTS
    lines = list(PLAIN)
    if path is not None and path.is_file():
        known = [line.strip() for line in read_text(path).splitlines() if line.strip()]
        lines = known[:: max(1, len(known) // EXAMPLES)][:EXAMPLES]
    return [{"prompt": line, "image": None} for line in lines]


def note_of(args: argparse.Namespace) -> str:
    """What people should know of the weights that the options name."""
    demo = args.model == "mugv" and args.weights is None and not args.random_weights
    if args.random_weights:
        return "The weights are random: videos are noise."
    return DEMO if demo else ""


def work_of(connection: Connection, options: Mapping[str, Any]) -> None:
    """Body of the process of a worker; `options` are the parsed ones of the command."""
    args = argparse.Namespace(**options)
    with console.reporting(args):
        try:
            from mugv_jax.serve.videos.worker import work

            join(args)
            keep_compiled(args.compile_cache)
            work(
                connection,
                args.output,
                generator_of(args),
                lambda: _pipeline(args),
                loras=loras_of(args),
                open_enhancer=lambda: _enhancer(args),
            )
        except ValueError as error:
            connection.send(Refused(str(error)))


def _pipeline(args: argparse.Namespace) -> Any:
    if args.model == "mugv":
        demo_unless_given(args)
        pipeline = generate_mugv.open_pipeline(args)
        if not args.random_weights:
            pipeline.defaults = read_defaults(args.weights, dit=args.dit, lora=args.lora)
    else:
        pipeline = generators()[args.model].open_pipeline(args)
    pipeline.models.keep_loaded = not args.free_models
    return pipeline


def _enhancer(args: argparse.Namespace) -> Callable[[Video], Video] | None:
    return enhancing.prepare(args) if args.enhance else None
