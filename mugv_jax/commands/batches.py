# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Rows of `mugv-jax generate` in batches of one shape: checked together, made one after another.

Rows of one size and number of frames share compiled programs, so they follow each other. A batch is
written before the next one is sampled: what a killed run has lost is at most AT_A_TIME videos.
"""

import argparse
import collections
import logging
import math
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import Any

from mugv_jax.commands.options import flag
from mugv_jax.commands.rows import Row, refuse_mistakes
from mugv_jax.sharding.place import data_shards
from mugv_jax.video import Video

log = logging.getLogger(__name__)

AT_A_TIME = 8  # videos for which each model is loaded once

Make = Callable[[Any], Iterator[Video]]  # pipeline -> videos


def prepared(
    args: argparse.Namespace, generator: ModuleType, rows: Sequence[Row]
) -> Callable[[Any], Iterator[tuple[Row, Video]]]:
    """Check all rows; the returned function of a pipeline makes their videos.

    generator: module of the model, see `sampling.py`.

    Raises:
        ValueError: rows that cannot be made, all of a list together.
    """
    if args.prompts is not None:
        _check_each(args, generator, rows)
        return lambda pipeline: _videos(args, generator, rows, pipeline)
    make = generator.prepare(_together(args, rows))
    if len(rows) <= AT_A_TIME:
        return lambda pipeline: zip(rows, make(pipeline), strict=True)
    return lambda pipeline: _videos(args, generator, rows, pipeline)


def _check_each(args: argparse.Namespace, generator: ModuleType, rows: Sequence[Row]) -> None:
    mistakes = []
    for row in rows:
        try:
            if row.image is not None and "image" not in generator.OPTIONS:
                raise ValueError(f"{flag('image')} is of another --model: {args.model} has none.")
            generator.prepare(argparse.Namespace(**vars(args) | row.options(args)))
        except ValueError as error:
            mistakes.append(f"{row.where}: {error}")
    refuse_mistakes(args.prompts, mistakes)


def _videos(
    args: argparse.Namespace, generator: ModuleType, rows: Sequence[Row], pipeline: Any
) -> Iterator[tuple[Row, Video]]:
    """Every row with its video, batch by batch."""
    shards = data_shards(pipeline.models.mesh)
    groups = _groups(rows)
    if len(groups) > 1:
        log.info("%d videos of %d shapes; each shape compiles once.", len(rows), len(groups))
    done = 0
    for group in groups:
        size = math.ceil(AT_A_TIME / shards) * shards
        for first in range(0, len(group), size):
            batch = group[first : first + size]
            log.info("videos %d to %d of %d", done + 1, done + len(batch), len(rows))
            make = generator.prepare(_together(args, batch))
            yield from zip(batch, make(pipeline), strict=True)
            done += len(batch)


def _groups(rows: Sequence[Row]) -> list[list[Row]]:
    """Rows of one shape, in the order in which the shapes appear."""
    groups = collections.defaultdict(list)
    for row in rows:
        groups[row.size, row.frames].append(row)
    return list(groups.values())


def _together(args: argparse.Namespace, rows: Sequence[Row]) -> argparse.Namespace:
    """Options for rows of one shape: a list of what each has of its own."""
    each = [argparse.Namespace(**vars(args) | row.options(args)) for row in rows]
    shared = argparse.Namespace(**vars(each[0]))
    shared.prompt = [prompt for options in each for prompt in options.prompt]
    shared.seed = [options.seed for options in each]
    images = [options.image for options in each]
    shared.image = images[0] if len({*images}) == 1 else images
    return shared
