# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Evaluated clips equal those that the pipeline makes of each caption alone."""

import dataclasses

import numpy as np
import pytest

from mugv_jax.demo.eval.adherence import DemoEval, Generator
from mugv_jax.demo.eval.generator import PipelineGenerator
from mugv_jax.demo.world.scene import Format
from mugv_jax.flow.guidance import Guidance
from mugv_jax.systems.mugv.models import MugvModels
from mugv_jax.systems.mugv.pipeline import MugvPipeline
from mugv_jax.systems.mugv.request import Request, read_given
from mugv_jax.systems.mugv.size import VideoSize
from tests.systems.mugv.folders import SMALL

LEVELS = 1  # of 256: float32 sums differ in their order, so half a level may round either way
SIZE = VideoSize(width_px=80, height_px=64, frames=9)
CONFIG = DemoEval(
    format=Format(width_px=80, height_px=64, frames=9, fps=8),
    steps=2,
    shift=None,
    guidance=3.0,
    batch=2,
)
CAPTIONS = ("a red star moves left", "a cube", "one blue ball that stays still")
PICTURES = np.random.default_rng(0).integers(0, 256, (2, 64, 80, 3), np.uint8)


@pytest.fixture(scope="module")
def models():
    return MugvModels.random(SMALL, keep_loaded=True)


def batched(models):
    return PipelineGenerator(MugvPipeline(models), CONFIG)


def alone(models, caption, **fields):
    request = Request(
        prompts=(caption,),
        size=SIZE,
        negative_prompt="",
        aesthetic_score=None,
        conditioning_fps=8,
        steps=2,
        **{"guidance": Guidance(scale=3.0), **fields},
    )
    (made,) = MugvPipeline(models).run(request, read_given(request), progress=False)
    return made.frames


def close(made, expected):
    assert made.shape == expected.shape
    assert np.max(np.abs(made.astype(int) - expected)) <= LEVELS


def test_from_captions(models):
    assert isinstance(batched(models), Generator)
    made = batched(models).generate(CAPTIONS[:2], [5, 7])
    close(made, np.stack([alone(models, c, seed=s) for c, s in zip(CAPTIONS, (5, 7))]))
    other = batched(models).generate(CAPTIONS[2:], [5])
    assert np.max(np.abs(made[0].astype(int) - other[0])) > LEVELS  # the captions are read


def test_videos_from_captions_and_pictures_equal_those_of_the_pipeline(models):
    made = batched(models).generate(CAPTIONS[:2], [0, 1], PICTURES)
    np.testing.assert_array_equal(made[:, 0], PICTURES)
    close(made[1], alone(models, CAPTIONS[1], seed=1, image=PICTURES[1]))


def test_a_caption_is_encoded_once(models, monkeypatch):
    read, tokenize = [], models.tokenize
    monkeypatch.setattr(models, "tokenize", lambda texts: read.append(texts) or tokenize(texts))
    generator = batched(models)
    guided = generator.generate(CAPTIONS[:2], [0, 1])
    unguided = dataclasses.replace(CONFIG, guidance=1.0)
    free = dataclasses.replace(generator, config=unguided).generate(CAPTIONS[1:], [1, 2])
    assert not np.array_equal(guided[1], free[0])
    assert read == [[*CAPTIONS[:2], ""], [CAPTIONS[2]]]


def test_a_reconstruction_depends_on_its_own_video_only(models):
    videos = np.random.default_rng(1).integers(0, 256, (2, 9, 64, 80, 3), np.uint8)
    generator = batched(models)
    both = generator.reconstruct(videos)
    assert both.shape == videos.shape
    np.testing.assert_array_equal(generator.reconstruct(videos[1:])[0], both[1])
    assert not np.array_equal(both[0], both[1])
