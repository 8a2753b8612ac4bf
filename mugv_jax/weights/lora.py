# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Low-rank updates of weights, merged as the weights are read or kept beside them.

    W + scale (alpha / rank) A B

`scale` is chosen by the user; 1 gives the update as trained.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np

from mugv_jax.nn.lora import COLLECTION, LoraConfig
from mugv_jax.weights.parameters import Index, LazyTensor, rows_per_piece

# Path of a linear layer, such as "blocks/mlp/up" -> its factors A and B
Factors = Mapping[str, tuple[LazyTensor, LazyTensor]]
# Path of a parameter -> number of a layer (0 if layers are not stacked) -> tensor of that layer
Overrides = Mapping[str, Mapping[int, LazyTensor]]


@dataclasses.dataclass(frozen=True)
class Adapter:
    """Low-rank updates of one model.

    lora: rank and alpha; its targets match all updated layers.
    factors: factors of every updated layer.
    overrides: tensors that replace the model's own before the updates.
    scale: factor of the updates, in addition to alpha / rank.
    """

    lora: LoraConfig
    factors: Factors
    overrides: Overrides = dataclasses.field(default_factory=dict)
    scale: float = 1.0


def combined(adapters: Sequence[tuple[Adapter, float]]) -> Adapter:
    """The sum of adapters, each times its scale, as one adapter.

        s_1 A_1 B_1 + s_2 A_2 B_2 = [A_1 A_2] [s_1 B_1; s_2 B_2]

    Raises:
        ValueError: two adapters that replace the same tensor.
    """
    if len(adapters) == 1:
        adapter, scale = adapters[0]
        return dataclasses.replace(adapter, scale=adapter.scale * scale)
    parts: dict[str, list[tuple[LazyTensor, LazyTensor]]] = {}
    overrides: dict[str, dict[int, LazyTensor]] = {}
    for adapter, scale in adapters:
        total = scale * adapter.scale * adapter.lora.scale
        for layer, (a, b) in adapter.factors.items():
            wide = np.dtype(np.float32)
            parts.setdefault(layer, []).append((a.cast(wide), _times(b.cast(wide), total)))
        for path, layers in adapter.overrides.items():
            own = overrides.setdefault(path, {})
            if own.keys() & layers:
                raise ValueError(f"several adapters replace {path}: use one of them.")
            own |= layers
    factors = {}
    for layer, pairs in parts.items():
        a, b = zip(*pairs, strict=True)
        # The leading axis is that of layers if A B has one axis more than a single product.
        factors[layer] = _joined(a, len(a[0].shape) - 1), _joined(b, int(b[0].stacked))
    rank = max(a.shape[-1] for a, _ in factors.values())
    lora = LoraConfig(
        rank=rank, alpha=float(rank), targets=tuple(f"^{layer}$" for layer in factors)
    )
    none = all(scale * adapter.scale == 0 for adapter, scale in adapters)
    return Adapter(lora, factors, overrides, scale=0.0 if none else 1.0)


def _times(lazy: LazyTensor, factor: float) -> LazyTensor:
    return dataclasses.replace(lazy, read=lambda index: lazy.read(index) * np.float32(factor))


def _joined(lazies: Sequence[LazyTensor], axis: int) -> LazyTensor:
    """Tensors joined along `axis`, their ranks."""
    sizes = [lazy.shape[axis] for lazy in lazies]
    shape = (*lazies[0].shape[:axis], sum(sizes), *lazies[0].shape[axis + 1 :])

    def read(index: Index) -> np.ndarray:
        before, after = index[:axis], index[axis + 1 :]
        each = [
            lazy.read((*before, slice(0, size), *after))
            for lazy, size in zip(lazies, sizes, strict=True)
        ]
        return np.concatenate(each, axis)[(*(slice(None),) * axis, index[axis])]

    rows = rows_per_piece(shape, lazies[0].dtype) if axis else sum(sizes)
    return dataclasses.replace(lazies[0], shape=shape, read=read, rows=rows)


def factors_of(flat: Mapping[str, LazyTensor]) -> Factors:
    """Factors by layer, from tensors by path, such as "blocks/mlp/up/a".

    Raises:
        ValueError: a tensor that is no factor, or a factor without its partner.
    """
    layers = {path.rpartition("/")[0]: None for path in flat}
    wanted = {f"{layer}/{factor}" for layer in layers for factor in "ab"}
    if set(flat) != wanted:
        odd = ", ".join(sorted(set(flat) ^ wanted))
        raise ValueError(f"low-rank factors come in pairs a and b; one of each pair is not: {odd}.")
    return {layer: (flat[f"{layer}/a"], flat[f"{layer}/b"]) for layer in layers}


def adapted(
    parameters: Mapping[str, LazyTensor],
    adapter: Adapter,
    *,
    scale: float = 1.0,
    merge: bool = True,
) -> dict[str, LazyTensor]:
    """`parameters` of a model with `adapter` applied.

    scale: factor of the updates, in addition to alpha / rank; overrides are not scaled.
    merge: add the updates to the weights. Otherwise the result also has the factors under "lora/",
        in float32 as `Linear` reads them: A, and B x scale x alpha / rank.

    Raises:
        ValueError: a scale that is not finite, or factors that `merged` refuses.
    """
    if not math.isfinite(scale):
        raise ValueError(f"scale={scale} must be a finite number: 1 for the update as trained.")
    scale *= adapter.scale * adapter.lora.scale
    whole = dict(parameters)
    for path, layers in adapter.overrides.items():
        whole[path] = _overridden(whole[path], layers)
    if merge:
        return merged(whole, adapter.factors, scale)
    for layer, (a, b) in adapter.factors.items():
        a, b = (factor.cast(np.dtype(np.float32)) for factor in (a, b))
        whole[f"{COLLECTION}/{layer}/a"] = a
        whole[f"{COLLECTION}/{layer}/b"] = _times(b, scale)
    return whole


def _overridden(base: LazyTensor, layers: Mapping[int, LazyTensor]) -> LazyTensor:
    """`base` with some of its layers replaced, in its own dtype."""

    def read(index: Index) -> np.ndarray:
        if not base.stacked:
            return layers[0].read(index).astype(base.dtype)
        out = np.array(base.read(index))
        for position, layer in enumerate(range(index[0].start, index[0].stop)):
            if layer in layers:
                out[position] = layers[layer].read(index[1:]).astype(base.dtype)
        return out

    return dataclasses.replace(base, read=read)


def merged(
    parameters: Mapping[str, LazyTensor], factors: Factors, scale: float
) -> dict[str, LazyTensor]:
    """`parameters` with W + scale A B in place of W, in W's dtype, computed as they are read.

    A scale of 0 leaves every bit of W unchanged.

    Raises:
        ValueError: factors of a layer that does not exist, or of shapes that do not fit.
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
        if scale:
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
