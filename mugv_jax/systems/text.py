# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Tokenizing and encoding of texts, shared by all pipelines."""

import functools
from collections.abc import Iterator, Sequence
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
    """Ids and mask of every prompt, padded to `max_tokens`.

    vocab_size: number of embeddings of the text encoder.

    Raises:
        ValueError: the tokenizer has ids that the text encoder does not know.
    """
    if tokenizer.vocab_size > vocab_size:
        raise ValueError(
            f"the tokenizer has {tokenizer.vocab_size} tokens, but the text encoder only "
            f"{vocab_size}: they are not of one model."
        )
    return tokenizer.tokenize(prompts, max_tokens)


def text_states(module: nn.Module, variables: Any, *inputs: np.ndarray) -> Any:
    """Outputs of an encoder for every text, on the host.

    The encoder reads one text at a time: the float32 scores of many would set the peak of memory.

    inputs: ids, and a mask if the encoder takes one, with a leading axis of texts.
    """
    read = text_batches(module, variables, *inputs, batch_size=1)
    return jax.tree.map(lambda *texts: np.concatenate(texts), *read)


def text_batches(
    module: nn.Module, variables: Any, *inputs: np.ndarray, batch_size: int
) -> Iterator[Any]:
    """Outputs of an encoder for batches of `batch_size` texts; see `text_states`.

    The last batch repeats its last text, so that one program serves all batches; outputs of the
    repetitions are dropped.
    """
    count = len(inputs[0])
    for start in range(0, count, batch_size):
        rows = np.arange(start, start + batch_size).clip(max=count - 1)
        states = _apply(module, variables, *(jnp.asarray(array[rows]) for array in inputs))
        valid = slice(count - start)
        yield jax.tree.map(lambda array, valid=valid: np.asarray(array)[valid], states)


@functools.partial(jax.jit, static_argnums=0)
def _apply(module: nn.Module, variables: Any, *inputs: Array) -> Any:
    return module.apply(variables, *inputs)
