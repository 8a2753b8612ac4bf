# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Text-to-video for `mugv-jax generate`: what the modules of ContentV and Wan2.1 share."""

import argparse
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

from mugv_jax.commands import like
from mugv_jax.commands.model_options import hardware_of, sizes_of, tiling_of
from mugv_jax.commands.sampling import check_upscale, chosen, guidance_of
from mugv_jax.systems.sizes import listed, parse_size
from mugv_jax.systems.system import System
from mugv_jax.systems.text_request import TextRequest
from mugv_jax.systems.text_to_video import TextPipeline
from mugv_jax.video import Video


@dataclasses.dataclass(frozen=True, kw_only=True)
class TextGenerator:
    """A system that makes videos of texts alone, with no options of its own.

    negative: name of its default negative prompt in help texts.
    """

    system: System
    pipeline: type[TextPipeline[Any, Any]]
    negative: str

    @property
    def request(self) -> type[TextRequest]:
        return self.pipeline.REQUEST

    def defaults(self) -> dict[str, str]:
        """`DEFAULTS` of the command's module, see `commands/sampling.py`."""
        request: Any = self.request  # fields with defaults are attributes of the class
        return {
            "size": f"multiples of 16; {listed(request.SIZES)}; {request.SIZE}",
            "frames": f"4k+1 (5, 9, 13, ...); {request.FRAMES}",
            "fps": f"{request.fps:g}",
            "steps": f"{request.steps}",
            "shift": f"{request.shift:g}",
            "guidance": f"{request.GUIDANCE:g}",
            "negative_prompt": self.negative,
        }

    def open_pipeline(self, args: argparse.Namespace) -> TextPipeline[Any, Any]:
        """The pipeline of the parsed options, which loads its models when they are needed.

        Raises:
            ValueError: weights that cannot be used.
        """
        models = self.load_models(args)
        pipeline = self.pipeline(models, tiling=tiling_of(args.vae_tile, self.system))
        like.compare(args, models)
        return pipeline

    def prepare(
        self, args: argparse.Namespace
    ) -> Callable[[TextPipeline[Any, Any]], Iterator[Video]]:
        """Check the options; the returned function samples.

        Raises:
            ValueError: options or files that cannot be used.
        """
        options, request = chosen(args), self.request
        if "size" in options:
            options["size"] = parse_size(options["size"], request.SIZES)
        if "frames" in options:
            options["frames"] = _frames(options["frames"])
        if "shift" in options and options["shift"] is None:
            example = self.defaults()["shift"]
            raise ValueError(
                f"--shift auto is of --model mugv: give {args.model} a number, such as {example}."
            )
        options["guidance"] = guidance_of(args, options.get("guidance", request.GUIDANCE))
        asked = request.of(tuple(args.prompt), seed=args.seed, **options)
        check_upscale(args.upscale, asked.size.width_px, asked.size.height_px)
        return lambda pipeline: pipeline.run(asked)

    def load_models(self, args: argparse.Namespace) -> Any:
        """Models that the options name.

        Raises:
            ValueError: options that exclude each other or lack one, or weights that cannot be used.
        """
        config = sizes_of(args, self.system, files=("weights", "dit", "lora", "lora_alpha"))
        options = hardware_of(args)
        models = self.pipeline.MODELS
        if args.random_weights:
            return models.random(config, **options)
        return models.from_pretrained(
            args.weights,
            dit=args.dit,
            lora=args.lora,
            lora_alpha=args.lora_alpha,
            expected=config,
            **options,
        )


def add_arguments(_: argparse.ArgumentParser) -> None:
    """Add nothing: these systems have no options of their own."""


def _frames(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"frames {text!r} must be a whole number of the form 4k+1.") from None
