# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Transposition equals that of NumPy for all sizes and memory layouts."""

import jax.numpy as jnp
import numpy as np
import pytest

from mugv_jax.weights import transpose
from mugv_jax.weights.transpose import transposed


@pytest.mark.parametrize("strip_bytes", [1, 2**22])
@pytest.mark.parametrize("shape", [(1, 1), (3, 700), (700, 3), (256, 512), (513, 1025)])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_result_equals_that_of_numpy(monkeypatch, strip_bytes, shape, dtype):
    monkeypatch.setattr(transpose, "STRIP_BYTES", strip_bytes)
    values = np.random.default_rng(0).integers(0, 2**16, shape).astype(np.uint16)
    matrix = values.view(jnp.bfloat16) if dtype == "bfloat16" else values.astype(np.float32)
    out = transposed(matrix)
    assert out.flags.c_contiguous
    assert out.dtype == matrix.dtype
    np.testing.assert_array_equal(out.view(np.uint8), np.ascontiguousarray(matrix.T).view(np.uint8))


def test_strided_matrices_are_transposed():
    matrix = np.arange(1200.0).reshape(30, 40)[::2, 1::3]
    np.testing.assert_array_equal(transposed(matrix), matrix.T)
