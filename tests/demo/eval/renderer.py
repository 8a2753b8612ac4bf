# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Generators with known scores: the renderer of the world, exact or with chosen mistakes."""

import dataclasses

import numpy as np

from mugv_jax.demo.eval.adherence import DemoEval
from mugv_jax.demo.eval.score import SPLITS
from mugv_jax.demo.world.captions import caption
from mugv_jax.demo.world.render import render
from mugv_jax.demo.world.scene import WORLDS, Format, draw

SMALLEST = Format(frames=9)


def config(**fields) -> DemoEval:
    return DemoEval(**{"clips": 8, "batch": 3, "format": SMALLEST, **fields})


def scenes(config, split, seed=None):
    world, seed = WORLDS[config.world], config.seeds[0] if seed is None else seed
    return [
        draw(split, number, seed=seed, format=config.format, world=world)
        for number in range(config.clips)
    ]


def same(_, scene):
    return render(scene)


def other_colour(scene):
    return _with_thing(scene, colour="red" if scene.main.thing.colour != "red" else "blue")


def other_shape(scene):
    return _with_thing(scene, shape="star" if scene.main.thing.shape != "star" else "box")


def frozen(scene):
    main = dataclasses.replace(scene.main, last=scene.main.first)
    return render(dataclasses.replace(scene, main=main))


def empty(scene):
    return np.full_like(render(scene), 128)


def _with_thing(scene, **fields):
    thing = dataclasses.replace(scene.main.thing, **fields)
    return render(dataclasses.replace(scene, main=dataclasses.replace(scene.main, thing=thing)))


class Renderer:
    """Generator that renders the clip that a caption describes.

    make: function from (split, number) and scene of a clip to its frames; the numbers of a second
        seed follow those of the first.
    calls: captions of each generated batch, or number of reconstructed videos.
    """

    def __init__(self, config, make=same):
        self._config, self._make, self.calls = config, make, []
        self._clips = {
            (caption(scene), seed + number): (split, config.clips * place + number, scene)
            for split in SPLITS
            for place, seed in enumerate(config.seeds)
            for number, scene in enumerate(scenes(config, split, seed))
        }

    def generate(self, captions, seeds, first=None):
        self.calls.append(tuple(captions))
        assert len(captions) <= self._config.batch
        clips = [self._clips[key] for key in zip(captions, seeds, strict=True)]
        if first is not None:
            given = np.stack([render(scene)[0] for *_, scene in clips])
            np.testing.assert_array_equal(first, given)
        return np.stack([self._make((split, number), scene) for split, number, scene in clips])

    def reconstruct(self, videos):
        self.calls.append(len(videos))
        return videos
