# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Training of the text encoder on captions: deterministic, a few minutes on a CPU."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from mugv_jax.demo.text.denoise import DenoiseStep, Noise, Params, initial
from mugv_jax.demo.text.text_config import TextTrainConfig
from mugv_jax.demo.text.vocabulary import Vocabulary, train_vocabulary
from mugv_jax.demo.world.captions import caption
from mugv_jax.demo.world.scene import WORLDS, World, draw
from mugv_jax.nn.text.t5 import T5Config, T5Encoder
from mugv_jax.train.optimizer import OptimizerConfig, make_optimizer

SHOWN_EVERY = 50  # steps between updates of the displayed loss
WARMUP_STEPS = 100  # or a tenth of all steps if that is less
# (pattern, factor of the learning rate, weight decay). The relative bias starts near 0, and must
# grow to several units before a token attends to its neighbour. The scale of the final norm stays
# 1, so that states keep a mean square of 1.
GROUPS = (("relative_bias", 10.0, 0.0), ("final_norm", 0.0, 0.0))


class TrainedText(NamedTuple):
    """A trained encoder and its vocabulary.

    params: weights in float32.
    losses: loss of every step, in nats per token.
    """

    config: T5Config
    params: Params
    vocabulary: Vocabulary
    losses: list[float]


def draw_captions(
    split: str, count: int, *, seed: int = 0, world: World = WORLDS["full"]
) -> list[str]:
    """Captions of the first `count` scenes of a split, without rendering them."""
    return [caption(draw(split, number, seed=seed, world=world)) for number in range(count)]


def train(config: TextTrainConfig) -> TrainedText:
    """Trains a vocabulary and an encoder on captions of the full demo world."""
    captions = draw_captions("train", config.captions, seed=config.seed)
    vocabulary = Vocabulary(train_vocabulary(captions))
    rows = [vocabulary.encode(each) for each in captions]
    encoder = T5Encoder(config.encoder(vocabulary.size), jnp.float32)
    noise = Noise(
        vocabulary,
        config.length,
        masked=config.masked,
        replaced=config.replaced,
        kept=config.kept,
        spelled=config.spelled,
    )
    params, losses = _fit(encoder, rows, noise, config)
    return TrainedText(encoder.config, params, vocabulary, losses)


def _fit(
    encoder: T5Encoder, rows: Sequence[Sequence[int]], noise: Callable, config: TextTrainConfig
) -> tuple[Params, list[float]]:
    optimizer, _ = make_optimizer(
        OptimizerConfig(
            learning_rate=config.learning_rate,
            schedule="cosine",
            warmup_steps=min(WARMUP_STEPS, config.steps // 10),
            groups=GROUPS,
        ),
        config.steps,
    )
    params = initial(encoder, config.seed)
    opt = optimizer.init(params)
    step = jax.jit(DenoiseStep(encoder, optimizer), donate_argnums=(0, 1))
    losses = []
    with tqdm(range(config.steps), desc="text encoder", unit="step", disable=None) as bar:
        for number in bar:
            rng = np.random.default_rng((config.seed, number))
            chosen = rng.integers(len(rows), size=config.batch_size)
            params, opt, loss = step(params, opt, noise([rows[i] for i in chosen], rng))
            losses.append(loss)
            if number % SHOWN_EVERY == 0:
                bar.set_postfix(loss=f"{float(loss):.2f}")
    return params, [float(each) for each in losses]
