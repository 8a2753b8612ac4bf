# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Recipes on few samples; `tests/train/test_adapt.py` has those on short runs."""

import logging

import numpy as np
import pytest

from mugv_jax.data.adapt import fitted_to_samples, validates
from mugv_jax.data.buckets import Bucket
from mugv_jax.data.data_config import DataConfig
from mugv_jax.data.holdout import split_holdout
from tests.data.sources import source_of

IMAGES, CLIPS = [(1, 8, 8)] * 4, [(3, 8, 8)] * 4
HALF = (0.5, 0.5)


@pytest.fixture(autouse=True)
def info(caplog):
    caplog.set_level(logging.INFO)


@pytest.mark.parametrize(
    ("shapes", "fields", "field", "fitted", "message"),
    [
        (CLIPS, {"image_share": HALF}, "image_share", (), "asks for images, but there are none"),
        (IMAGES, {"image_share": HALF}, "image_share", (), "asks for clips, but there are none"),
        (IMAGES + CLIPS, {"image_share": HALF}, "image_share", HALF, None),
        (CLIPS, {"image_share": (0.0, 0.0)}, "image_share", (0.0, 0.0), None),
        (CLIPS, {"holdout": 1e-9}, "holdout", 0.0, "would hold out none of 4 samples"),
        (CLIPS, {"holdout": 1 - 1e-9}, "holdout", 0.0, "would hold out all of 4 samples"),
        (CLIPS, {"shapes": ((9, 8, 8),)}, "shapes", (), "shapes are chosen from the samples"),
        (CLIPS, {"shapes": ((2, 8, 8),)}, "shapes", ((2, 8, 8),), None),
        # The pictures of the data fit no shape, so that none are left for the share.
        (
            IMAGES + CLIPS,
            {"shapes": ((3, 8, 8),), "image_share": HALF},
            "image_share",
            (),
            "asks for images",
        ),
    ],
)
def test_a_recipe_adapts_with_a_word(shapes, fields, field, fitted, message, caplog):
    config, source = DataConfig(**fields), source_of(*shapes)
    assert getattr(fitted_to_samples(config, source), field) == fitted
    assert len(caplog.messages) == (message is not None)
    assert message is None or message in caplog.messages[0]
    caplog.clear()
    assert fitted_to_samples(config, source, {f"data.{field}"}) == config
    assert not caplog.messages


def bucket(*shape):
    return Bucket(shape, 1, 1, np.arange(1), 0.0)


def test_validation_is_off_with_a_word_where_nothing_can_be_validated(caplog):
    source = source_of(*CLIPS, *CLIPS)
    config = DataConfig(holdout=0.5)
    members, held = split_holdout(source.names, config)
    assert len(members)
    assert len(held)
    assert validates(config, source, [bucket(3, 8, 8)])
    assert not caplog.messages
    assert not validates(config, source, [bucket(5, 8, 8)])
    assert caplog.messages == [
        "No held-out sample covers a shape of training, so validation is off."
    ]
    assert validates(config, source, [bucket(5, 8, 8)], {"data.holdout"})  # refused later
    assert not validates(DataConfig(), source, [bucket(3, 8, 8)])
