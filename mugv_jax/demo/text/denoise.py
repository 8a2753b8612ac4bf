# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Denoising objective of an encoder without a decoder: it predicts masked tokens from the others.

    loss = mean over selected tokens of -log softmax(E state / sqrt(d))_token

E is the token embedding, with the scale of T5's tied embeddings. Most selected tokens are masked,
some are replaced by another token and some are kept (BERT, arXiv:1810.04805, section 3.1): the
encoder will read whole captions, so the state of a visible token must identify it, too.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from mugv_jax.axes import Array, Bool, Float, Int
from mugv_jax.demo.text.vocabulary import END, UNKNOWN, Vocabulary
from mugv_jax.nn.layers import unboxed
from mugv_jax.nn.text.t5 import T5Encoder

Params = Any


class Batch(NamedTuple):
    """Noisy captions.

    ids: tokens that the encoder reads.
    mask: true on text, false on padding.
    target: tokens before noise.
    selected: true on tokens that the encoder must predict.
    """

    ids: Int[np.ndarray, "b s"]
    mask: Bool[np.ndarray, "b s"]
    target: Int[np.ndarray, "b s"]
    selected: Bool[np.ndarray, "b s"]


@dataclasses.dataclass(frozen=True, eq=False)
class Noise:
    """Function from captions (as ids) to a `Batch`, with the shares of `TextTrainConfig`."""

    vocabulary: Vocabulary
    length: int
    masked: float
    replaced: float = 0.0
    kept: float = 0.0
    spelled: float = 0.0

    def __call__(self, captions: Sequence[Sequence[int]], rng: np.random.Generator) -> Batch:
        rows = [self._spell(caption, rng) for caption in captions]
        target, mask = self.vocabulary.padded(rows, self.length)
        draw = np.where(mask & (target != END), rng.random(target.shape), 1.0)
        other = rng.integers(UNKNOWN + 1, self.vocabulary.pieces, target.shape, np.int32)
        ids = np.where(draw < self.masked + self.replaced, other, target)
        ids = np.where(draw < self.masked, np.int32(self.vocabulary.mask_id), ids)
        return Batch(ids, mask, target, draw < self.masked + self.replaced + self.kept)

    def _spell(self, caption: Sequence[int], rng: np.random.Generator) -> list[int]:
        """Caption with some words spelled in characters, as far as `length` allows."""
        room, row = self.length - len(caption), []
        for token, draw in zip(caption, rng.random(len(caption))):
            characters = self.vocabulary.spelled.get(token, [token])
            if draw < self.spelled and len(characters) - 1 <= room:
                room -= len(characters) - 1
                row += characters
            else:
                row.append(token)
        return row


def initial(encoder: T5Encoder, seed: int) -> Params:
    """Random weights; queries are scaled by head_dim^-1/2, because T5 does not scale its scores."""
    inputs = jnp.zeros((1, 1), jnp.int32), jnp.ones((1, 1), bool)
    params = unboxed(jax.jit(encoder.init)(jax.random.key(seed), *inputs))["params"]
    query = params["blocks"]["attention"]["q"]
    query["kernel"] = query["kernel"] * encoder.config.head_dim**-0.5
    return params


def logits(encoder: T5Encoder, params: Params, batch: Batch) -> Float[Array, "b s v"]:
    """Logits of every token over the vocabulary."""
    states = encoder.apply({"params": params}, batch.ids, batch.mask).astype(jnp.float32)
    embedding = params["token_embed"] * encoder.config.width**-0.5
    return jnp.einsum("bsd,vd->bsv", states, embedding)


def loss(
    encoder: T5Encoder, params: Params, batch: Batch
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Loss in nats per token, and the share of selected tokens that are predicted right."""
    scores = logits(encoder, params, batch)
    nats = optax.softmax_cross_entropy_with_integer_labels(scores, batch.target)
    right = jnp.argmax(scores, axis=-1) == batch.target
    count = jnp.maximum(jnp.sum(batch.selected.astype(jnp.float32)), 1.0)

    def mean(values: Array) -> Float[Array, ""]:
        return jnp.sum(jnp.where(batch.selected, values.astype(jnp.float32), 0.0)) / count

    return mean(nats), mean(right)


@dataclasses.dataclass(frozen=True, eq=False)
class DenoiseStep:
    """One training step: `step(params, opt, batch) -> (params, opt, loss)`."""

    encoder: T5Encoder
    optimizer: optax.GradientTransformation

    def __call__(
        self, params: Params, opt: Any, batch: Batch
    ) -> tuple[Params, Any, Float[Array, ""]]:
        graded = jax.value_and_grad(loss, argnums=1, has_aux=True)
        (value, _), grads = graded(self.encoder, params, batch)
        updates, opt = self.optimizer.update(grads, opt, params)
        return optax.apply_updates(params, updates), opt, value
