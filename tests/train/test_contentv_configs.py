# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The configs of ContentV's stages say what Table 2 of its paper says."""

import json
from pathlib import Path

import numpy as np
import pytest

from configs.contentv import shapes
from mugv_jax import config as configs
from mugv_jax.data.buckets import fill_buckets
from mugv_jax.systems.contentv.denoiser import CAPTION_STATES
from mugv_jax.systems.contentv.system import SYSTEM
from mugv_jax.systems.sizes import WanSize
from mugv_jax.train.train_config import from_config_dict

TABLE = json.loads(Path(__file__).with_name("contentv_table2.json").read_text())
STAGES = [name for name in TABLE if name != "source"]
DEVICES = 256  # the paper's
ASPECTS = (16 / 9, 3 / 2, 4 / 3, 1, 3 / 4, 2 / 3, 9 / 16)


def read(name):
    return from_config_dict(configs.read(f"contentv/{name}"))


def tokens(config, shape):
    return SYSTEM.costs.tokens(config.dit, shape)


def batches(config):
    """Samples of a step in every bucket, by its latent shape."""
    mesh, found = config.mesh.sizes(DEVICES), np.array(config.data.shapes, np.int32)
    names = [str(shape) for shape in config.data.shapes]
    buckets = fill_buckets(
        found, names, np.arange(len(found)), config.data, lambda shape: tokens(config, shape)
    )
    parts = mesh["data"] * mesh["fsdp"] * config.run.accumulate
    return {bucket.shape: parts * bucket.rows for bucket in buckets}


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_is_that_of_the_table(name):
    config, row = read(name), TABLE[name]
    frames, height, width = row["max_shape"]
    largest = WanSize(width_px=width, height_px=height, frames=frames).latent_shape
    assert largest in config.data.shapes
    for shape in config.data.shapes:
        assert shape[0] <= largest[0]
        assert shape[1] * shape[2] <= largest[1] * largest[2]
    found, image = batches(config), (1, *largest[1:])
    assert found.get(image) == row["batch_size"].get("image")
    if frames > 1:
        assert found[largest] == row["batch_size"]["video"]
    assert config.optimizer.learning_rate == row["learning_rate"]
    assert config.run.steps == row["steps"]


@pytest.mark.parametrize("name", STAGES)
def test_every_aspect_and_second_has_a_bucket_with_a_batch_of_its_own(name):
    config = read(name)
    found = batches(config)
    assert set(found) == set(config.data.shapes)
    assert len(found) == len(config.data.shapes) <= config.data.max_buckets
    seconds = {"adaptation": (), "stage1": (shapes.STAGE_1,)}.get(name, shapes.SECONDS)
    assert {shape[0] for shape in found} - {1} == set(seconds)
    for frames in {shape[0] for shape in found}:
        sizes = [shape[1:] for shape in found if shape[0] == frames]
        ratios = sorted((columns / rows for rows, columns in sizes), reverse=True)
        np.testing.assert_allclose(ratios, ASPECTS, rtol=0.06)
    parts = np.prod([config.mesh.sizes(DEVICES)[axis] for axis in ("data", "fsdp")])
    for shape, batch in found.items():
        rows = batch // (parts * config.run.accumulate)
        assert all(side % 2 == 0 for side in shape[1:]), "a patch would be padded"
        assert rows * tokens(config, shape) <= config.data.tokens_per_shard
    videos = [found[each, *config.data.shapes[0][1:]] for each in seconds]
    assert videos == sorted(videos, reverse=True)


def test_the_stages_follow_the_paper():
    adaptation, one, two, three, sft = map(read, STAGES)
    assert adaptation.dit == one.dit
    assert one.data.image_share == (0.0, 0.5)
    assert one.data.image_share_steps < one.run.steps
    assert two.data.image_share == three.data.image_share == (0.5, 0.5)
    assert {shape[0] for shape in sft.data.shapes} == set(shapes.SECONDS)
    assert sft.objective.kl_weight > 0
    assert sft.objective.short_captions == 0.5
    assert sft.optimizer.clip > 0
    for stage in (one, two, three, sft):
        assert stage.tasks.drawn == ("t2i", "t2v")
        assert stage.data.text_tokens == CAPTION_STATES
        assert stage.loss.times == "logit_normal"
    assert SYSTEM.train_shift == 1
    assert SYSTEM.sample_shift == 17
