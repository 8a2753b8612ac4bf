# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Modulation kernels for TPU, interpreted on CPU, against float64: values and gradients."""

import jax.numpy as jnp
import numpy as np
import pytest

from mugv_jax.kernels import modulate_tpu_groups, modulate_tpu_heads
from mugv_jax.kernels.modulate import Modulation
from tests.kernels.float64 import (
    TOLERANCES,
    arguments,
    assert_equals_float64,
    gate_residual,
    gate_residual_norm_modulate,
    heads,
    norm_modulate,
    norm_rotate,
    with_gradients,
)

TPU = Modulation("tpu")
# (b, n, d, g): tokens that fill no block, or less than a strip; groups that end inside a strip.
SIZES = [(2, 37, 24, 4), (1, 150, 96, 16), (1, 5, 288, 1)]
HEADS = [(2, 70, 4, 72), (1, 5, 1, 6)]  # (b, n, a, e)


@pytest.fixture(autouse=True)
def _many_small_blocks(monkeypatch):
    monkeypatch.setattr(modulate_tpu_groups, "BLOCK_BYTES", 32 * 96 * 4)
    monkeypatch.setattr(modulate_tpu_heads, "BLOCK_BYTES", 2 * 32 * 128 * 4)
    monkeypatch.setattr(modulate_tpu_heads, "ROWS", 32)


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("reference", "names"),
    [
        (norm_modulate, "x shift scale group"),
        (gate_residual, "x update bias gate group"),
        (gate_residual_norm_modulate, "x update bias gate shift scale group"),
    ],
)
def test_modulation_equals_float64(reference, names, size, dtype):
    operation = getattr(TPU, reference.__name__)
    assert_equals_float64(operation, reference, arguments(names, size, dtype), dtype)


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("size", HEADS)
def test_normalised_and_rotated_heads_equal_float64(size, dtype):
    given = heads(size, dtype)
    assert_equals_float64(TPU.norm_rotate, norm_rotate, given, dtype, skip=("cos", "sin"))


def test_a_group_without_tokens_has_no_gradient():
    given = arguments("x shift scale group", (1, 40, 24, 6), jnp.float32)
    given["group"] = jnp.repeat(jnp.array([1, 4], jnp.int32), 20)
    values, gradients = with_gradients(TPU.norm_modulate, given, given["x"])
    assert np.all(np.isfinite(values))
    for vector in ("shift", "scale"):
        seen = np.any(np.asarray(gradients[vector]) != 0, axis=-1)
        np.testing.assert_array_equal(seen, [[False, True, False, False, True, False]])
