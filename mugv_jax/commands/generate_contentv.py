# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""ContentV for `mugv-jax generate`."""

import argparse
from collections.abc import Callable, Iterator

from mugv_jax.commands import like
from mugv_jax.commands.model_options import hardware_of, sizes_of, tiling_of
from mugv_jax.commands.sampling import check_upscale, chosen, guidance_of
from mugv_jax.systems.contentv.models import ContentvModels
from mugv_jax.systems.contentv.pipeline import ContentvPipeline
from mugv_jax.systems.contentv.request import (
    CONTENTV_SIZES,
    FRAMES,
    GUIDANCE,
    ContentvRequest,
    make_request,
)
from mugv_jax.systems.contentv.system import SYSTEM, ContentvConfig
from mugv_jax.systems.sizes import listed, parse_size
from mugv_jax.video import Video

WEIGHTS = (
    "reads a folder or repository as diffusers keep it, such as ByteDance/ContentV-8B, or the same "
    "converted"
)
DEFAULTS = {
    "size": f"multiples of 16; {listed(CONTENTV_SIZES)}; 16:9",
    "frames": f"4k+1 (5, 9, 13, ...); {FRAMES}",
    "fps": f"{ContentvRequest.fps:g}",
    "steps": f"{ContentvRequest.steps}",
    "shift": f"{ContentvRequest.shift:g}",
    "guidance": f"{GUIDANCE:g}",
    "negative_prompt": "no text",
}
OPTIONS = ()
EXAMPLES = """\
  mugv-jax generate --model contentv --weights ByteDance/ContentV-8B --size 9:16 "a paper boat"
"""


def add_arguments(_: argparse.ArgumentParser) -> None:
    """Add nothing: ContentV has no options of its own."""


def open_pipeline(args: argparse.Namespace) -> ContentvPipeline:
    """The pipeline of the parsed options, which loads its models when they are needed.

    Raises:
        ValueError: weights that cannot be used.
    """
    pipeline = ContentvPipeline(load_models(args), tiling=tiling_of(args.vae_tile, SYSTEM))
    like.compare(args, pipeline.models)
    return pipeline


def prepare(args: argparse.Namespace) -> Callable[[ContentvPipeline], Iterator[Video]]:
    """Check the options; the returned function samples.

    Raises:
        ValueError: options or files that cannot be used.
    """
    options = chosen(args)
    if "size" in options:
        options["size"] = parse_size(options["size"], CONTENTV_SIZES)
    if "frames" in options:
        options["frames"] = _frames(options["frames"])
    if "shift" in options and options["shift"] is None:
        raise ValueError("--shift auto is of --model mugv: give contentv a number, such as 17.")
    options["guidance"] = guidance_of(args, options.get("guidance", GUIDANCE))
    request = make_request(tuple(args.prompt), seed=args.seed, **options)
    check_upscale(args.upscale, request.size.width_px, request.size.height_px)
    return lambda pipeline: pipeline.run(request)


def _models(args: argparse.Namespace) -> ContentvModels:
    config = sizes_of(args, SYSTEM, files=("weights", "dit", "lora", "lora_alpha"))
    options = hardware_of(args)
    if args.random_weights:
        assert isinstance(config, ContentvConfig)
        return ContentvModels.random(config, **options)
    return ContentvModels.from_pretrained(
        args.weights,
        dit=args.dit,
        lora=args.lora,
        lora_alpha=args.lora_alpha,
        expected=config,
        **options,
    )


def _frames(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"frames {text!r} must be a whole number of the form 4k+1.") from None
