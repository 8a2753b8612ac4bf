# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Values and gradients of the Triton kernels against float64, in Triton's interpreter on the CPU.

jax-triton needs a GPU: a stand-in for its `triton_call` hands the arrays to the interpreter as
PyTorch tensors. A separate program, because Triton reads TRITON_INTERPRET when it is imported.
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

from mugv_jax.kernels import select
from mugv_jax.kernels.modulate import Modulation
from tests.kernels import float64

OPERATIONS = {
    float64.norm_modulate: "x shift scale group",
    float64.gate_residual: "x update bias gate group",
    float64.gate_residual_norm_modulate: "x update bias gate shift scale group",
}
SIZES = [  # (b, n, d, g)
    ((2, 37, 24, 16), jnp.float32),  # groups that end inside a tile, and some without tokens
    ((1, 41, 297, 4), jnp.float32),  # a width that is odd
    ((1, 70, 40, 1), jnp.float32),  # one group of several tiles, forward and backward
    ((2, 5, 288, 1), jnp.bfloat16),
]
HEADS = [  # (b, n, a, e)
    ((2, 7, 3, 72), jnp.bfloat16),
    ((1, 50, 2, 6), jnp.float32),  # more heads than one program takes
    ((1, 5, 1, 6), jnp.float32),
]


def triton_call(*arrays, kernel, out_type, grid, num_warps, compute_capability, **constants):
    """The part of `jax_triton.triton_call` that the library uses, in the interpreter."""
    assert num_warps in (1, 2, 4, 8, 16, 32)
    assert compute_capability is None
    del constants["backend_options"]
    shapes = jax.tree.leaves(out_type)

    def run(*arrays):
        inputs = [tensor(np.asarray(array)) for array in arrays]
        outputs = [
            torch.full(shape.shape, torch.nan, dtype=torch_dtype(shape.dtype)) for shape in shapes
        ]
        kernel[grid](*inputs, *outputs, **constants)
        return [x.float().numpy().astype(shape.dtype) for x, shape in zip(outputs, shapes)]

    return jax.pure_callback(run, shapes, *arrays)


def torch_dtype(dtype):
    return torch.bfloat16 if dtype == jnp.bfloat16 else torch.float32


def tensor(array):
    if array.dtype == jnp.bfloat16:
        return torch.from_numpy(array.astype(np.float32)).bfloat16()
    return torch.from_numpy(array.copy())


def count_with_numpy_2(patch=interpreter._patch_lang_tensor):
    """Let the interpreter take the end of a range from an array of one element.

    It relies on a conversion that NumPy 2 refuses.
    """

    def patched(tensor, scope):
        patch(tensor, scope)
        scope.set_attr(tensor, "__index__", lambda self: int(self.handle.data.item()))

    interpreter._patch_lang_tensor = patched


def main():
    count_with_numpy_2()
    jax_triton = types.SimpleNamespace(triton_call=triton_call, __version_info__=(0, 4, 0))
    sys.modules["jax_triton"] = jax_triton
    select.platform = lambda: "gpu"
    modulation = Modulation("triton")
    for size, dtype in SIZES:
        for reference, names in OPERATIONS.items():
            operation = getattr(modulation, reference.__name__)
            given = float64.arguments(names, size, dtype)
            float64.assert_equals_float64(operation, reference, given, dtype)
    for size, dtype in HEADS:
        float64.assert_equals_float64(
            modulation.norm_rotate,
            float64.norm_rotate,
            float64.heads(size, dtype),
            dtype,
            skip=("cos", "sin"),
        )


if __name__ == "__main__":
    main()
