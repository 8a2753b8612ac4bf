# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Texts: tokenizing, encoding, a cache between the calls of a pipeline, and padded batches."""

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from mugv_jax.axes import Array, Bool, Float, Int
from mugv_jax.nn.text.tokenizer import Tokenizer
from mugv_jax.sharding.place import on_host

KEPT_BYTES = 2 * 2**30  # 2,600 texts of 100 tokens as T5-XXL reads them, in bfloat16
TEXT_STEP = 64  # texts are padded to a multiple of it, so that one program serves nearly all


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


def text_states(module: nn.Module, variables: Any, *inputs: np.ndarray, batch_size: int = 1) -> Any:
    """Outputs of an encoder for every text, on the host.

    inputs: ids, and a mask if the encoder takes one, with a leading axis of texts.
    batch_size: texts that the encoder reads at once; the float32 scores of many would set the peak
        of memory.
    """
    read = text_batches(module, variables, *inputs, batch_size=batch_size)
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
        yield jax.tree.map(lambda array, valid=valid: on_host(array)[valid], states)


@functools.partial(jax.jit, static_argnums=0)
def _apply(module: nn.Module, variables: Any, *inputs: Array) -> Any:
    return module.apply(variables, *inputs)


class TextCache:
    """Encoded forms of the most recently read texts, up to KEPT_BYTES.

    A repeated text, such as a negative prompt, is not encoded again.
    """

    def __init__(self):
        self._kept: dict[str, Any] = {}  # newest last

    def read(
        self, texts: Iterable[str], encode: Callable[[list[str]], Sequence[Any]]
    ) -> dict[str, Any]:
        """Encoded form of each text, a tree of host arrays.

        encode: encodes the texts that are not kept, in one call.
        """
        wanted = list(dict.fromkeys(texts))
        new = [text for text in wanted if text not in self._kept]
        if new:
            self._kept |= dict(zip(new, encode(new), strict=True))
        read = {text: self._kept.pop(text) for text in wanted}
        self._kept |= read
        self._forget()
        return read

    def _forget(self) -> None:
        """Drops the least recently read texts while the limit is exceeded."""
        surplus = _nbytes(self._kept) - KEPT_BYTES
        while surplus > 0:
            surplus -= _nbytes(self._kept.pop(next(iter(self._kept))))


def _nbytes(tree: Any) -> int:
    return sum(leaf.nbytes for leaf in jax.tree.leaves(tree))


def padded_length(texts: Iterable[np.ndarray], most: int) -> int:
    """Tokens of the longest text, rounded up to a multiple of TEXT_STEP, but at most `most`."""
    longest = max(len(states) for states in texts)
    return min(-(-longest // TEXT_STEP) * TEXT_STEP, most)


def padded(
    texts: Sequence[Float[np.ndarray, "_s d"]], tokens: int
) -> tuple[Float[np.ndarray, "b s d"], Bool[np.ndarray, "b s"]]:
    """A batch of texts, filled up with zeros to `tokens`, and its mask, true on text."""
    lengths = np.array([len(states) for states in texts])
    filled = [np.pad(states, ((0, tokens - len(states)), (0, 0))) for states in texts]
    return np.stack(filled), np.arange(tokens) < lengths[:, None]
