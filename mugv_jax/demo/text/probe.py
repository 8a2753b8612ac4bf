# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Accuracy of a text encoder on the demo world: its predictions, and linear probes of its states.

masked                  share of masked tokens of held-out captions that are predicted right
shape, colour, motion   share of held-out captions whose main object a linear probe classifies
                        right from the mean of the caption's states:

    argmax_k  w_k mean_s(state_s) + b_k,   multinomial logistic regression on captions of `train`
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from mugv_jax.axes import Array, Float, Int
from mugv_jax.demo.text.denoise import MaskedText, Noise
from mugv_jax.demo.text.run import TrainedText, draw_captions
from mugv_jax.demo.text.text_config import TextTrainConfig
from mugv_jax.demo.world.captions import caption
from mugv_jax.demo.world.scene import WORLDS, World, draw
from mugv_jax.nn.text.t5 import T5Encoder
from mugv_jax.train.objective import POLICY

HELD_OUT = ("validation", "unseen")
FITTED_PER_SCORED = 8  # captions that a probe is fitted to, for each that is scored
LENGTH = 48  # longer than any caption, in tokens
BATCH = 128
NOISE = TextTrainConfig(length=LENGTH, masked=0.15, replaced=0.0, kept=0.0, spelled=0.0)
FIT_STEPS, FIT_RATE = 500, 0.05

SCORED = ("full", "small")  # worlds

Means = Float[np.ndarray, "n d"]


def scores(trained: TrainedText, fitted: int) -> dict[str, dict[str, Any]]:
    """Masked accuracy and probe accuracy on every world, by its name.

    fitted: captions that the probes are fitted to; of each held-out split an eighth as many are
        scored.
    """
    count = fitted // FITTED_PER_SCORED
    return {
        name: {
            "masked": masked_accuracy(trained, world, count),
            "probe": probe(trained, world, fitted, count),
        }
        for name, world in ((name, WORLDS[name]) for name in SCORED)
    }


def masked_accuracy(trained: TrainedText, world: World, count: int) -> dict[str, float]:
    """Share of masked tokens predicted right, by held-out split of `count` captions each."""
    noise = Noise(trained.vocabulary, NOISE)
    encoder = T5Encoder(trained.config, jnp.float32)
    objective = MaskedText(sizes=trained.config, module=encoder)
    policies = {POLICY: {"params": trained.params}}
    right = jax.jit(lambda batch: objective.loss(policies, batch)[1]["right"])
    found = {}
    for split in HELD_OUT:
        captions = draw_captions(split, count, world=world)
        rows = [trained.vocabulary.encode(each) for each in captions]
        found[split] = float(right(noise(rows, np.random.default_rng(0))))
    return found


def probe(
    trained: TrainedText, world: World, fitted: int, count: int
) -> dict[str, dict[str, float]]:
    """Share of right answers by held-out split, for shape, colour and motion.

    fitted: captions of `train` that the probes are fitted to.
    count: captions of each held-out split that are scored.
    All are drawn with seed 1; training draws with 0 by default.
    """
    counts = {"train": fitted} | dict.fromkeys(HELD_OUT, count)
    scenes = {
        split: [draw(split, number, seed=1, world=world) for number in range(size)]
        for split, size in counts.items()
    }
    means = {split: _means(trained, [caption(each) for each in scenes[split]]) for split in counts}
    names = {"shape": world.shapes, "colour": world.colours, "motion": world.motions}
    found: dict[str, dict[str, float]] = {split: {} for split in HELD_OUT}
    for attribute, values in names.items():
        labels = {
            split: np.array([values.index(each.attributes[attribute]) for each in drawn], np.int32)
            for split, drawn in scenes.items()
        }
        weights = _fit(means["train"], labels["train"], len(values))
        for split in HELD_OUT:
            answers = np.argmax(_scores(weights, jnp.asarray(means[split])), axis=-1)
            found[split][attribute] = float(np.mean(answers == labels[split]))
    return found


def _means(trained: TrainedText, captions: Sequence[str]) -> Means:
    """Mean state of each caption's tokens."""
    encoder = T5Encoder(trained.config, jnp.float32)

    @jax.jit
    def mean(ids: Array, mask: Array) -> Float[Array, "b d"]:
        states: Any = encoder.apply({"params": trained.params}, ids, mask)
        return jnp.mean(states, axis=1, where=mask[:, :, None])

    rows = [trained.vocabulary.encode(each) for each in captions]
    ids, mask = trained.vocabulary.padded(rows, LENGTH)
    parts = [mean(ids[i : i + BATCH], mask[i : i + BATCH]) for i in range(0, len(rows), BATCH)]
    return np.concatenate(parts)


def _scores(weights: tuple[Array, Array], x: Array) -> Float[Array, "n k"]:
    return x @ weights[0] + weights[1][None]


def _fit(x: Means, labels: Int[np.ndarray, " n"], classes: int) -> tuple[Array, Array]:
    """Weights and biases of a logistic regression, fitted by Adam on the whole set."""
    optimizer = optax.adam(FIT_RATE)

    def nats(weights: tuple[Array, Array]) -> Float[Array, ""]:
        scores = _scores(weights, jnp.asarray(x))
        return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(scores, labels))

    def update(carry: tuple, _: None) -> tuple[tuple, None]:
        weights, state = carry
        updates, state = optimizer.update(jax.grad(nats)(weights), state)
        return (optax.apply_updates(weights, updates), state), None

    weights = jnp.zeros((x.shape[1], classes)), jnp.zeros(classes)
    with jax.numpy_dtype_promotion("standard"):  # Optax mixes step counts and floats
        carry = weights, optimizer.init(weights)
        return jax.jit(lambda carry: jax.lax.scan(update, carry, length=FIT_STEPS)[0])(carry)[0]
