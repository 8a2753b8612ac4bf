# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Runs the checks of `test_modulate_jax_triton.py`, with Triton's interpreter in place of a GPU.

jax-triton itself needs one: here its `triton_call` hands the arrays to PyTorch on the CPU, which
the interpreter works on. Started as a program, since Triton reads TRITON_INTERPRET when imported.
"""

import os
import sys
import types

os.environ["TRITON_INTERPRET"] = "1"

import jax
import jax.numpy as jnp
import numpy as np
import torch
from triton.runtime import interpreter

from mugv_jax.kernels.modulate import Modulation
from tests.kernels import float64

OPERATIONS = {
    float64.norm_modulate: "x shift scale group",
    float64.gate_residual: "x update bias gate group",
    float64.gate_residual_norm_modulate: "x update bias gate shift scale group",
}


def triton_call(*arrays, kernel, out_shape, grid, num_warps, **constants):
    """Of jax-triton, as far as it is used here."""
    assert num_warps in (1, 2, 4, 8, 16, 32)
    shapes = jax.tree.leaves(out_shape)

    def run(*arrays):
        inputs = [tensor(np.asarray(array)) for array in arrays]
        outputs = [torch.full(shape.shape, torch.nan, dtype=of(shape.dtype)) for shape in shapes]
        kernel[grid](*inputs, *outputs, **constants)
        return [x.float().numpy().astype(shape.dtype) for x, shape in zip(outputs, shapes)]

    return jax.pure_callback(run, shapes, *arrays)


def of(dtype):
    return torch.bfloat16 if dtype == jnp.bfloat16 else torch.float32


def tensor(array):
    if array.dtype == jnp.bfloat16:
        return torch.from_numpy(array.astype(np.float32)).bfloat16()
    return torch.from_numpy(array.copy())


def count_with_numpy_2(patch=interpreter._patch_lang_tensor):
    """Lets the interpreter take a range's end from an array of one element, as NumPy once did."""

    def patched(tensor, scope):
        patch(tensor, scope)
        scope.set_attr(tensor, "__index__", lambda self: int(self.handle.data.item()))

    interpreter._patch_lang_tensor = patched


def main():
    count_with_numpy_2()
    sys.modules["jax_triton"] = types.SimpleNamespace(triton_call=triton_call)
    modulation = Modulation("jax_triton")
    cases = [((2, 13, 24, 5), jnp.float32), ((1, 9, 297, 1), jnp.bfloat16)]
    for size, dtype in cases:
        for reference, names in OPERATIONS.items():
            operation = getattr(modulation, reference.__name__)
            given = float64.arguments(names, size, dtype)
            float64.assert_equals_float64(operation, reference, given, dtype)
    for size, dtype in (((2, 7, 3, 72), jnp.bfloat16), ((1, 50, 2, 6), jnp.float32)):
        float64.assert_equals_float64(
            modulation.norm_rotate,
            float64.norm_rotate,
            float64.heads(size, dtype),
            dtype,
            skip=("cos", "sin"),
        )


if __name__ == "__main__":
    main()
