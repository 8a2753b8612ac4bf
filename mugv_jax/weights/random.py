# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Seeded random weights of any model, without compiling its initialisers."""

import zlib
from typing import Any

import flax.linen as nn
import jax
import numpy as np
from jax.typing import DTypeLike

from mugv_jax.nn.layers import unboxed


def random_variables(
    abstract: Any, seed: int, *, shardings: Any = None, dtype: DTypeLike = np.float32
) -> Any:
    """Values for `abstract` (boxed, see `abstract_variables`): a function of seed and leaf path.

    Norm scales and the latent scale are near 1, biases and shifts near 0, everything else normal
    with variance 1 / fan-in, so that activations keep their size through any depth.

    shardings: tree like the unboxed variables; None places all on the default device.
    """
    plain = unboxed(abstract)
    layers = jax.tree.map(
        lambda spec: "layers" in spec, nn.get_partition_spec(abstract), is_leaf=_is_spec
    )

    def draw(path: tuple, leaf: jax.ShapeDtypeStruct, stacked: bool) -> np.ndarray:
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        generator = np.random.default_rng([seed, zlib.crc32(name.encode())])
        normal = generator.standard_normal(leaf.shape, np.float32)
        match path[-1].key:
            case "scale":
                return 1 + 0.1 * normal
            case "bias" | "shift":
                return 0.1 * normal
        inner = leaf.shape[1:] if stacked else leaf.shape
        return normal / np.sqrt(max(1, int(np.prod(inner[:-1]))), dtype=np.float32)

    values = jax.tree_util.tree_map_with_path(
        lambda path, *leaf: draw(path, *leaf).astype(dtype), plain, layers
    )
    return jax.device_put(values, shardings)


def _is_spec(leaf: Any) -> bool:
    return isinstance(leaf, jax.sharding.PartitionSpec)
