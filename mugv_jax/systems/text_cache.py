# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Encoded texts: a cache between the calls of a pipeline, and batches with padding."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, runtime_checkable

import jax
import numpy as np
from jax.sharding import Mesh

from mugv_jax.axes import Bool, Float
from mugv_jax.sharding import mesh as meshes
from mugv_jax.systems.text import text_states

KEPT_BYTES = 2 * 2**30  # 2,600 texts of 100 tokens as T5-XXL reads them, in bfloat16
TEXT_STEP = 64  # texts are padded to a multiple of it, so that one program serves nearly all


class TextCache:
    """Encoded forms of the most recently read texts, up to `most_bytes`.

    A repeated text, such as a negative prompt, is not encoded again.
    """

    def __init__(self, most_bytes: int = KEPT_BYTES):
        self._most_bytes = most_bytes
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
        sizes = {
            text: sum(leaf.nbytes for leaf in jax.tree.leaves(kept))
            for text, kept in self._kept.items()
        }
        surplus = sum(sizes.values()) - self._most_bytes
        for text, size in sizes.items():
            if surplus <= 0:
                return
            del self._kept[text]
            surplus -= size


@runtime_checkable
class TextModels(Protocol):
    """Models of a system with one tokenizer and one text encoder."""

    @property
    def mesh(self) -> Mesh: ...

    def model(self, name: str) -> AbstractContextManager[tuple[Any, Any]]: ...

    def tokenize(self, prompts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]: ...


def encode_texts(models: TextModels, texts: Sequence[str]) -> list[Float[np.ndarray, "_s d"]]:
    """Encoder states of each text, without padding, in systems with one tokenizer and encoder."""
    ids, mask = models.tokenize(texts)
    with meshes.use(models.mesh), models.model("text") as (module, variables):
        states = text_states(module, variables, ids, mask)
    return [each[valid] for each, valid in zip(states, mask, strict=True)]


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
