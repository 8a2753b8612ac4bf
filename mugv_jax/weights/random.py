# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Seeded random weights of any model, drawn without compiling its initialisers."""

import os
import zlib
from concurrent.futures import ThreadPoolExecutor
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

PART = 2**22  # values that one generator draws


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
        values = _draw(path, unboxed(leaf).shape, stacked, seed, dtype)
        if path in narrow:
            lazy = LazyTensor(values.shape, values.dtype, values.__getitem__, rows=1, stacked=True)
            variables |= place_quantized(path, lazy, placed, narrow[path])
        else:
            variables[path] = jax.device_put(values, placed.get(path))
    return traverse_util.unflatten_dict(variables, sep="/")


def _draw(
    path: str, shape: tuple[int, ...], stacked: bool, seed: int, dtype: DTypeLike
) -> np.ndarray:
    """Values of one leaf, drawn by all cores: those of a 10B model would take one core minutes."""
    kind = path.rpartition("/")[2]
    inner = shape[1:] if stacked else shape
    root = np.sqrt(max(1, int(np.prod(inner[:-1]))), dtype=np.float32)
    values = np.empty(shape, dtype)
    flat = values.reshape(-1)

    def fill(number: int) -> None:
        part = flat[number * PART : (number + 1) * PART]
        words = [seed, zlib.crc32(path.encode()), *([number] if number else [])]
        normal = np.random.default_rng(words).standard_normal(part.shape, np.float32)
        match kind:
            case "scale":
                part[:] = 1 + 0.1 * normal
            case "bias" | "shift":
                part[:] = 0.1 * normal
            case _:
                part[:] = normal / root

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(fill, range(-(-flat.size // PART))))
    return values
