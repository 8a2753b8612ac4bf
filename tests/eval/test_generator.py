# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""A batch is what the pipeline makes one by one."""

import dataclasses

import numpy as np
import pytest

from mugv_jax.eval.generator import BatchedPipeline
from mugv_jax.flow.guidance import Guidance
from mugv_jax.pipelines.mugv import MugvPipeline
from mugv_jax.pipelines.request import Request, read_given
from mugv_jax.pipelines.size import VideoSize
from mugv_jax.pipelines.zoo import Zoo
from tests.pipelines.systems import SMALL

LEVELS = 1  # of 256: the order of float32 sums differs, and half a level may fall to either side
SIZE = VideoSize(width_px=48, height_px=32, frames=9)
CAPTIONS = ("a red star moves left", "a cube", "one blue ball that stays still")
PICTURES = np.random.default_rng(0).integers(0, 256, (2, 32, 48, 3), np.uint8)


@pytest.fixture(scope="module")
def zoo():
    return Zoo.random(SMALL, keep_loaded=True)


def batched(zoo, **fields):
    options = {"size": SIZE, "fps": 8, "steps": 2, "shift": None, "guidance": 3.0, "rows": 2}
    return BatchedPipeline(zoo=zoo, **options | fields)


def alone(zoo, caption, **fields):
    request = Request(
        prompts=(caption,),
        size=SIZE,
        negative_prompt="",
        aesthetic_score=None,
        conditioning_fps=8,
        steps=2,
        **{"guidance": Guidance(scale=3.0), **fields},
    )
    (made,) = MugvPipeline(zoo).run(request, read_given(request), progress=False)
    return made.frames


def close(made, expected):
    assert made.shape == expected.shape
    assert np.max(np.abs(made.astype(int) - expected)) <= LEVELS


def test_from_captions(zoo):
    made = batched(zoo).generate(CAPTIONS[:2], [5, 7])
    close(made, np.stack([alone(zoo, c, seed=s) for c, s in zip(CAPTIONS, (5, 7))]))
    other = batched(zoo).generate(CAPTIONS[2:], [5])
    assert np.max(np.abs(made[0].astype(int) - other[0])) > LEVELS  # the captions are read


def test_from_captions_and_pictures_of_each(zoo):
    made = batched(zoo).generate(CAPTIONS[:2], [0, 1], PICTURES)
    np.testing.assert_array_equal(made[:, 0], PICTURES)
    close(made[1], alone(zoo, CAPTIONS[1], seed=1, image=PICTURES[1]))


def test_a_text_is_read_once(zoo, monkeypatch):
    read, tokenize = [], zoo.tokenize
    monkeypatch.setattr(zoo, "tokenize", lambda texts: read.append(texts) or tokenize(texts))
    generator = batched(zoo)
    guided = generator.generate(CAPTIONS[:2], [0, 1])
    free = dataclasses.replace(generator, guidance=1.0).generate(CAPTIONS[1:], [1, 2])
    assert not np.array_equal(guided[1], free[0])
    assert read == [["", *sorted(CAPTIONS[:2])], [CAPTIONS[2]]]


def test_a_reconstruction_comes_of_its_latent_alone(zoo):
    videos = np.random.default_rng(1).integers(0, 256, (2, 9, 32, 48, 3), np.uint8)
    generator = batched(zoo)
    both = generator.reconstruct(videos)
    assert both.shape == videos.shape
    np.testing.assert_array_equal(generator.reconstruct(videos[1:])[0], both[1])
    assert not np.array_equal(both[0], both[1])
