# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Seeded random weights of any model, drawn without compiling its initialisers."""

import zlib
from typing import Any

import flax.linen as nn
import jax
import numpy as np
from flax import traverse_util
from jax.typing import DTypeLike

from mugv_jax.nn.layers import unboxed
from mugv_jax.nn.quantize import quantized_paths
from mugv_jax.weights.parameters import LazyTensor
from mugv_jax.weights.place import place_quantized


def random_variables(
    abstract: Any,
    seed: int,
    *,
    shardings: Any = None,
    dtype: DTypeLike = np.float32,
    quantize: str | None = None,
) -> Any:
    """Values for `abstract` (boxed, see `abstract_variables`); each depends on seed and path only.

    Norm scales and the latent scale are near 1, biases and shifts near 0, and all others normal
    with variance 1 / fan-in, so that activations keep their magnitude at any depth.

    shardings: tree with the structure of the unboxed variables; None is the default device.
    quantize: as in `load`, for the same values; `shardings` are then those of
        `abstract_quantized`.
    """
    placed: dict[str, Any] = traverse_util.flatten_dict(shardings or {}, sep="/")
    narrow = quantized_paths(abstract, quantize)
    variables = {}
    for path, leaf in traverse_util.flatten_dict(abstract, sep="/").items():
        stacked = "layers" in nn.get_partition_spec(leaf)
        values = _draw(path, unboxed(leaf).shape, stacked, seed).astype(dtype)
        if path in narrow:
            lazy = LazyTensor(values.shape, values.dtype, values.__getitem__, rows=1, stacked=True)
            variables |= place_quantized(path, lazy, placed, narrow[path])
        else:
            variables[path] = jax.device_put(values, placed.get(path))
    return traverse_util.unflatten_dict(variables, sep="/")


def _draw(path: str, shape: tuple[int, ...], stacked: bool, seed: int) -> np.ndarray:
    generator = np.random.default_rng([seed, zlib.crc32(path.encode())])
    normal = generator.standard_normal(shape, np.float32)
    match path.rpartition("/")[2]:
        case "scale":
            return 1 + 0.1 * normal
        case "bias" | "shift":
            return 0.1 * normal
    inner = shape[1:] if stacked else shape
    return normal / np.sqrt(max(1, int(np.prod(inner[:-1]))), dtype=np.float32)
