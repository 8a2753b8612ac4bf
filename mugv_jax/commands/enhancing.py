# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""`mugv-jax generate --enhance`: enhances every video before it is written."""

import argparse
from collections.abc import Callable

from mugv_jax.commands.enhance import add_wan
from mugv_jax.commands.model_options import hardware_of, tiling_of
from mugv_jax.commands.options import add_path, add_switch, flag
from mugv_jax.systems.enhancer.models import EnhancerModels
from mugv_jax.systems.enhancer.pipeline import EnhancerPipeline
from mugv_jax.systems.enhancer.system import SYSTEM
from mugv_jax.systems.record import with_after
from mugv_jax.video import Video


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that `prepare` reads."""
    group = parser.add_argument_group("enhancement (mugv-jax enhance has more options)")
    add_switch(group, "--enhance", "restore detail in each video before it is written")
    add_path(group, "--enhancer", "folder or repository of the enhancer's weights [--weights]")
    add_wan(group)


def prepare(args: argparse.Namespace) -> Callable[[Video], Video]:
    """Function that is applied to each video; weights are checked now and loaded later.

    Raises:
        ValueError: no weights, some that cannot be used, or options without --enhance.
    """
    if not args.enhance:
        for name in ("enhancer", "wan"):
            if getattr(args, name) is not None:
                raise ValueError(f"{flag(name)} says how to enhance: give --enhance as well.")
        return lambda made: made
    weights = args.enhancer or args.weights
    if weights is None:
        raise ValueError("--enhance needs the enhancer's weights: give --enhancer FOLDER.")
    models = EnhancerModels.from_pretrained(weights, wan=args.wan, **hardware_of(args))
    pipeline = EnhancerPipeline(models, tiling=tiling_of(args.vae_tile, SYSTEM))
    enhancer = {"given": dict(models.arguments), "digests": models.digests()}

    def enhanced(made: Video) -> Video:
        record = with_after(made.record, enhance=enhancer)
        return Video(pipeline.enhance(made.frames), made.fps, record)

    return enhanced
