# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Low-rank updates of linear layers (LoRA, arXiv:2106.09685).

    y = x W + b + (alpha / rank) (x A) B,    A (inputs, rank),    B (rank, outputs)

The factors form a separate tree, {"a", "b"} under the path of each layer; W is never changed.
`Linear` reads them from the variable collection "lora", in which B is already multiplied by
alpha / rank (`scaled`). Layers that are stacked for a scan have stacked factors.
"""

import dataclasses
import math
import re
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import traverse_util

from mugv_jax.axes import Array

COLLECTION = "lora"


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoraConfig:
    """Rank, scale and layers of the updates; the defaults are those of the released trainer.

    rank: 0 for no low-rank updates.
    targets: regular expressions; every linear layer whose path ("blocks/mlp/up") contains a match
        of one has an update. The default covers every linear layer of every block.

    Raises:
        ValueError: values out of range, or a target that is no regular expression.
    """

    rank: int = 64
    alpha: float = 32.0
    targets: tuple[str, ...] = (
        "^blocks/self_attention/(qkv|out)$",
        "^blocks/cross_attention/(q|kv|out)$",
        "^blocks/mlp/(up|down)$",
    )

    def __post_init__(self):
        object.__setattr__(self, "targets", tuple(self.targets))
        if self.rank < 0:
            raise ValueError(f"rank={self.rank} must be at least 1, or 0 for no low-rank updates.")
        if not 0 < self.alpha < math.inf:
            raise ValueError(f"alpha={self.alpha} must be a positive number.")
        for pattern in self.targets:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(
                    f"target {pattern!r} is no regular expression: {error}."
                ) from error

    @property
    def scale(self) -> float:
        return self.alpha / self.rank


def abstract_lora(abstract: Any, config: LoraConfig) -> Any:
    """Shapes of all factors, float32, boxed with the logical names of the axes they share with W.

    abstract: boxed parameters (`abstract_variables(...)["params"]`).

    Raises:
        ValueError: a target that matches no linear layer, or a layer without a bias.
    """
    flat: dict[str, Any] = traverse_util.flatten_dict(abstract, sep="/")
    layers = [path.removesuffix("/kernel") for path in flat if path.endswith("/kernel")]
    factors = {}
    for path in matching(layers, config.targets):
        a, b = _factors(path, flat[f"{path}/kernel"], flat.get(f"{path}/bias"), config.rank)
        factors |= {f"{path}/a": a, f"{path}/b": b}
    return traverse_util.unflatten_dict(factors, sep="/")


def matching(layers: Iterable[str], targets: Iterable[str]) -> list[str]:
    """The paths that match a target, in the order of `layers`.

    Raises:
        ValueError: a target that matches no path, or no targets.
    """
    layers, targets = list(layers), list(targets)
    for target in targets or ["(none)"]:
        if not any(re.search(target, path) for path in layers):
            raise ValueError(
                f"LoRA target {target!r} is found in no linear layer's path; the paths are "
                f"{', '.join(layers)}."
            )
    return [path for path in layers if any(re.search(target, path) for target in targets)]


def _factors(
    path: str,
    kernel: nn.LogicallyPartitioned,
    bias: nn.LogicallyPartitioned | None,
    rank: int,
) -> tuple[nn.LogicallyPartitioned, nn.LogicallyPartitioned]:
    if bias is None:
        raise ValueError(
            f"LoRA target {path} has no bias, which is needed to tell input axes from output "
            "axes; choose other targets."
        )
    stacked = int(kernel.names[:1] == ("layers",))
    inputs = stacked + len(kernel.names) - len(bias.names)
    shape, names = kernel.value.shape, kernel.names

    def boxed(shape: tuple[int, ...], names: tuple[str | None, ...]) -> nn.LogicallyPartitioned:
        return kernel.replace(value=jax.ShapeDtypeStruct(shape, jnp.float32), names=names)

    return (
        boxed((*shape[:inputs], rank), (*names[:inputs], None)),
        boxed((*shape[:stacked], rank, *shape[inputs:]), (*names[:stacked], None, *names[inputs:])),
    )


def init_lora(key: Array, abstract: Any, config: LoraConfig) -> Any:
    """Factors whose product is zero: A uniform in +-1/sqrt(inputs), B zero.

    abstract: boxed parameters. A leaf's values depend only on the key and on its path.

    Raises:
        ValueError: see `abstract_lora`.
    """

    def draw(path: str, leaf: nn.LogicallyPartitioned) -> Array:
        shape = leaf.value.shape
        if path.endswith("/b"):
            return jnp.zeros(shape, jnp.float32)
        stacked = leaf.names[0] == "layers"
        bound = 1 / math.sqrt(math.prod(shape[stacked:-1]))
        leaf_key = jax.random.fold_in(key, zlib.crc32(path.encode()))
        return jax.random.uniform(leaf_key, shape, jnp.float32, -bound, bound)

    flat: dict[str, Any] = traverse_util.flatten_dict(abstract_lora(abstract, config), sep="/")
    return traverse_util.unflatten_dict(
        {path: draw(path, leaf) for path, leaf in flat.items()}, sep="/"
    )


def scaled(lora: Any, config: LoraConfig) -> Any:
    """The collection "lora" as `Linear` reads it: A, and B multiplied by alpha / rank."""
    flat: dict[str, Any] = traverse_util.flatten_dict(lora, sep="/")
    return traverse_util.unflatten_dict(
        {path: x * config.scale if path.endswith("/b") else x for path, x in flat.items()}, sep="/"
    )


def merge(params: Mapping, lora: Mapping, config: LoraConfig) -> dict[str, Any]:
    """Parameters with W + (alpha / rank) A B in place of W, summed in float32, in W's dtype."""
    flat: dict[str, Any] = traverse_util.flatten_dict(params, sep="/")
    factors: dict[str, Any] = traverse_util.flatten_dict(lora, sep="/")
    for path in (path.removesuffix("/a") for path in factors if path.endswith("/a")):
        kernel, a, b = flat[f"{path}/kernel"], factors[f"{path}/a"], factors[f"{path}/b"]
        product = lambda a, b: jnp.tensordot(a, b, 1)  # noqa: E731
        if a.ndim + b.ndim - 2 > kernel.ndim:  # all three are stacked over layers
            product = jax.vmap(product)
        update = product(a.astype(jnp.float32), b.astype(jnp.float32)) * config.scale
        flat[f"{path}/kernel"] = (kernel.astype(jnp.float32) + update).astype(kernel.dtype)
    return traverse_util.unflatten_dict(flat, sep="/")
