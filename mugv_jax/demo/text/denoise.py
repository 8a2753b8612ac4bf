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
from typing import Any

import jax.numpy as jnp
import numpy as np
import optax

from mugv_jax.axes import Array, Float
from mugv_jax.demo.text.text_config import TextTrainConfig
from mugv_jax.demo.text.vocabulary import END, UNKNOWN, Vocabulary
from mugv_jax.nn.text.t5 import T5Encoder
from mugv_jax.train.metrics import Work
from mugv_jax.train.objective import POLICY, Batch, Metrics, Objective, Policies

KIND = "t5_encoder"


@dataclasses.dataclass(frozen=True, eq=False)
class Noise:
    """Function from captions (as ids) to a batch, with the length and shares of `config`.

    ids: tokens that the encoder reads.  mask: true on text, false on padding.
    target: tokens before noise.  selected: true on tokens that the encoder must predict.
    """

    vocabulary: Vocabulary
    config: TextTrainConfig

    def __call__(
        self, captions: Sequence[Sequence[int]], rng: np.random.Generator
    ) -> dict[str, np.ndarray]:
        config, rows = self.config, [self._spell(caption, rng) for caption in captions]
        target, mask = self.vocabulary.padded(rows, config.length)
        draw = np.where(mask & (target != END), rng.random(target.shape), 1.0)
        other = rng.integers(UNKNOWN + 1, self.vocabulary.pieces, target.shape, np.int32)
        ids = np.where(draw < config.masked + config.replaced, other, target)
        ids = np.where(draw < config.masked, np.int32(self.vocabulary.mask_id), ids)
        selected = draw < config.masked + config.replaced + config.kept
        return {"ids": ids, "mask": mask, "target": target, "selected": selected}

    def _spell(self, caption: Sequence[int], rng: np.random.Generator) -> list[int]:
        """Caption with some words spelled in characters, as far as the length allows."""
        room, row = self.config.length - len(caption), []
        for token, draw in zip(caption, rng.random(len(caption))):
            characters = self.vocabulary.spelled.get(token, [token])
            if draw < self.config.spelled and len(characters) - 1 <= room:
                room -= len(characters) - 1
                row += characters
            else:
                row.append(token)
        return row


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class MaskedText(Objective):
    """Masked-token prediction, as an objective of the one trainer."""

    kind: str = KIND
    module: T5Encoder

    def initial(self, params: Any) -> Any:
        """Weights whose queries are scaled by head_dim^-1/2: T5 does not scale its scores."""
        blocks = params["blocks"]
        attention = blocks["attention"]
        query = dict(attention["q"], kernel=attention["q"]["kernel"] * self.sizes.head_dim**-0.5)
        return dict(params, blocks=dict(blocks, attention=dict(attention, q=query)))

    def prepare(self, key: Array, policies: Policies, batch: Batch) -> Batch:
        """The batch as it is: its noise was drawn when it was read."""
        del key, policies
        return batch

    def loss(self, policies: Policies, part: Batch) -> tuple[Float[Array, ""], Metrics]:
        """Loss in nats per token, and the share of selected tokens that are predicted right."""
        variables = policies[POLICY]
        states: Any = self.module.apply(variables, part["ids"], part["mask"])
        embedding = variables["params"]["token_embed"] * self.sizes.width**-0.5
        logits = jnp.einsum("bsd,vd->bsv", states.astype(jnp.float32), embedding)
        nats = optax.softmax_cross_entropy_with_integer_labels(logits, part["target"])
        right = (jnp.argmax(logits, axis=-1) == part["target"]).astype(jnp.float32)
        count = jnp.maximum(jnp.sum(part["selected"].astype(jnp.float32)), 1.0)
        loss, share = (jnp.sum(each, where=part["selected"]) / count for each in (nats, right))
        return loss, {"right": share}

    def validate(self, policies: Policies, batch: Batch) -> tuple[Float[Array, ""], Metrics]:
        return self.loss(policies, batch)

    def work(self, batch: Batch) -> Work:
        """A step's captions and tokens."""
        rows, tokens = batch["ids"].shape
        return Work(shape=(rows, tokens), samples=rows, tokens=rows * tokens, flops=None)
