# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Low-rank updates of weights, merged as the weights are read: W + (alpha / rank) A B."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from flax import traverse_util

from mugv_jax.nn.lora import LoraConfig
from mugv_jax.weights.parameters import Index, LazyTensor

# Path of a linear layer, such as "blocks/mlp/up" -> its factors A, B
Factors = Mapping[str, tuple[LazyTensor, LazyTensor]]


@dataclasses.dataclass(frozen=True)
class Adapter:
    """Low-rank updates of one model. lora: rank and alpha; its targets are the layers of all."""

    lora: LoraConfig
    factors: Factors


def factors_of(flat: Mapping[str, LazyTensor]) -> Factors:
    """From "blocks/mlp/up/a" -> tensor, and so on.

    Raises:
        ValueError: a tensor that is no factor, or a factor without the other.
    """
    layers = {path.rpartition("/")[0]: None for path in flat}
    wanted = {f"{layer}/{factor}" for layer in layers for factor in "ab"}
    if set(flat) != wanted:
        odd = ", ".join(sorted(set(flat) ^ wanted))
        raise ValueError(f"low-rank factors come in pairs a and b; one of each pair is not: {odd}.")
    return {layer: (flat[f"{layer}/a"], flat[f"{layer}/b"]) for layer in layers}


def merged(
    parameters: Mapping[str, LazyTensor], factors: Factors, scale: float
) -> dict[str, LazyTensor]:
    """`parameters` with W + scale A B in place of W, in W's dtype, computed as they are read.

    Raises:
        ValueError: factors of a layer that is not there, or of another shape.
    """
    out = dict(parameters)
    for layer, (a, b) in factors.items():
        path = f"params/{layer}/kernel"
        kernel = out.get(path)
        if kernel is None:
            raise ValueError(f"there are low-rank factors for {layer}, but no such layer.")
        stacked = len(a.shape) + len(b.shape) - 2 - len(kernel.shape)
        whole = (*a.shape[:-1], *b.shape[stacked + 1 :])
        if whole != kernel.shape or a.shape[-1] != b.shape[stacked]:
            raise ValueError(
                f"the low-rank factors of {layer}, {a.shape} and {b.shape}, do not make its "
                f"weight of {kernel.shape}."
            )
        out[path] = _merged(kernel, a, b, stacked=bool(stacked), scale=scale)
    return out


def _merged(
    kernel: LazyTensor, a: LazyTensor, b: LazyTensor, *, stacked: bool, scale: float
) -> LazyTensor:
    inputs = len(a.shape) - 1
    rank = slice(0, a.shape[-1])

    def read(index: Index) -> np.ndarray:
        a_part = a.read((*index[:inputs], rank)).astype(np.float32)
        b_part = b.read((*index[:stacked], rank, *index[inputs:])).astype(np.float32)
        out = kernel.read(index)
        if not stacked:
            return _add_product(out, a_part, b_part, scale)
        return np.stack([_add_product(*layer, scale) for layer in zip(out, a_part, b_part)])

    return dataclasses.replace(kernel, read=read)


def _add_product(weight: np.ndarray, a: np.ndarray, b: np.ndarray, scale: float) -> np.ndarray:
    update = np.tensordot(a, b, 1) * np.float32(scale)
    return (weight.astype(np.float32) + update).astype(weight.dtype)


def in_memory(tree: Any) -> dict[str, LazyTensor]:
    """Path -> tensor of a tree of arrays, such as low-rank factors (see `factors_of`)."""

    def lazy(leaf: Any) -> LazyTensor:
        array = np.asarray(jax.device_get(leaf))
        return LazyTensor(array.shape, array.dtype, array.__getitem__, max((1, *array.shape[:1])))

    return {name: lazy(x) for name, x in traverse_util.flatten_dict(tree, sep="/").items()}
