# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Texts through a tokenizer and an encoder, as every pipeline reads them."""

import functools
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from mugv_jax.axes import Array, Bool, Int
from mugv_jax.nn.text.tokenizer import Tokenizer


def tokenize(
    tokenizer: Tokenizer, vocab_size: int, prompts: Sequence[str], max_tokens: int
) -> tuple[Int[np.ndarray, "b s"], Bool[np.ndarray, "b s"]]:
    """Ids and mask of every prompt, for an encoder with `vocab_size` embeddings.

    Raises:
        ValueError: a tokenizer whose ids the text encoder does not have.
    """
    if tokenizer.vocab_size > vocab_size:
        raise ValueError(
            f"the tokenizer has {tokenizer.vocab_size} tokens, but the text encoder only "
            f"{vocab_size}: they are not of one model."
        )
    return tokenizer.tokenize(prompts, max_tokens)


def text_states(module: nn.Module, variables: Any, *inputs: np.ndarray) -> Any:
    """What an encoder makes of every text, on the host.

    inputs: ids, and a mask where the encoder takes one, with a leading axis of texts. They are read
    one at a time, for the float32 scores of many would set the peak.
    """
    read = [
        jax.tree.map(np.asarray, _apply(module, variables, *map(jnp.asarray, text)))
        for text in zip(*(array[:, None] for array in inputs), strict=True)
    ]
    return jax.tree.map(lambda *texts: np.concatenate(texts), *read)


@functools.partial(jax.jit, static_argnums=0)
def _apply(module: nn.Module, variables: Any, *text: Array) -> Any:
    return module.apply(variables, *text)
