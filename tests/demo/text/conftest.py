# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""A tiny text encoder after a few training steps, and its folder."""

import pytest

from mugv_jax.demo.text.run import draw_captions, train, write
from mugv_jax.demo.text.text_config import TextTrainConfig
from mugv_jax.demo.text.vocabulary import Vocabulary, train_vocabulary

TINY = TextTrainConfig(
    width=32,
    head_dim=8,
    num_heads=2,
    mlp_dim=32,
    depth=2,
    captions=1000,
    batch_size=16,
    steps=60,
    learning_rate=1e-2,
)


@pytest.fixture(scope="package")
def vocabulary():
    return Vocabulary(train_vocabulary(draw_captions("train", TINY.captions)))


@pytest.fixture(scope="package")
def run(tmp_path_factory):
    return tmp_path_factory.mktemp("runs") / "text"


@pytest.fixture(scope="package")
def trained(run):
    return train(TINY, run)


@pytest.fixture(scope="package")
def folder(trained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights") / "text_encoder"
    write(trained, folder)
    return folder
