# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""3x3 convolutions as a few large matrix products, with fewer multiplications, for CPUs.

Two minimal-filtering algorithms in one dimension; in two dimensions they are nested.

    F(2, 3) (Winograd; arXiv:1509.09308)      two outputs y0 y1 of four inputs d0..d3: 4 products
        y0 = m0 + m1 + m2     m0 = (d0 - d2) w0     m1 = (d1 + d2) (w0 + w1 + w2) / 2
        y1 = m1 - m2 - m3     m3 = (d1 - d3) w2     m2 = (d2 - d1) (w0 - w1 + w2) / 2

    every input repeated twice, x -> x x      two outputs of x[i-1], x[i], x[i+1]: 3 products
        y0 = m1 + m0          m0 = (x[i-1] - x[i]) w0     m1 = x[i] (w0 + w1 + w2)
        y1 = m1 + m2          m2 = (x[i+1] - x[i]) w2

The direct sum takes 3 products per output: in two dimensions that is 2.25 and 4 times as many. Both
transforms only add and halve, so float32 rounding errors stay at those of the direct sum (F(4, 3)
would lose a digit).
"""

from collections.abc import Callable, Sequence

import einops
import jax
import jax.numpy as jnp

from mugv_jax.axes import Array, Float

Kernel3x3 = Float[Array, "3 3 c_in c_out"]


def _f23_input(x: Array, axis: int) -> tuple[Array, ...]:
    """d0 - d2, d1 + d2, d2 - d1, d1 - d3 of x, zero-padded by one on both sides of an even axis."""
    even, odd = (jax.lax.slice_in_dim(x, i, None, stride=2, axis=axis) for i in (0, 1))
    count = even.shape[axis]
    d0, d1 = (jax.lax.slice_in_dim(d, 0, count - 1, axis=axis) for d in (even, odd))
    d2, d3 = (jax.lax.slice_in_dim(d, 1, count, axis=axis) for d in (even, odd))
    return d0 - d2, d1 + d2, d2 - d1, d1 - d3


def _f23_kernel(w0: Array, w1: Array, w2: Array) -> tuple[Array, ...]:
    outer = w0 + w2
    return w0, (outer + w1) * 0.5, (outer - w1) * 0.5, w2


def _f23_output(m0: Array, m1: Array, m2: Array, m3: Array) -> tuple[Array, ...]:
    return m0 + m1 + m2, m1 - m2 - m3


def _repeat_input(x: Array, axis: int) -> tuple[Array, ...]:
    """x[i-1] - x[i], x[i], x[i+1] - x[i] of x, zero-padded by one on both sides."""
    before, here, after = (
        jax.lax.slice_in_dim(x, i, i + x.shape[axis] - 2, axis=axis) for i in range(3)
    )
    return before - here, here, after - here


def _repeat_kernel(w0: Array, w1: Array, w2: Array) -> tuple[Array, ...]:
    return w0, w0 + w1 + w2, w2


def _repeat_output(m0: Array, m1: Array, m2: Array) -> tuple[Array, ...]:
    return m1 + m0, m1 + m2


def _nested(
    x: Array, kernel: Kernel3x3, steps: Sequence[Callable[..., tuple[Array, ...]]]
) -> Array:
    """Nest the one-dimensional `steps` over rows and columns; interleave the 2 x 2 outputs."""
    of_input, of_kernel, of_output = steps
    x = jnp.pad(x, [(0, 0)] * (x.ndim - 3) + [(1, 1), (1, 1), (0, 0)])
    row_kernels = of_kernel(*kernel)
    row_inputs = of_input(x, axis=x.ndim - 3)
    columns = []
    for row_input, row_kernel in zip(row_inputs, row_kernels, strict=True):
        inputs = of_input(row_input, axis=x.ndim - 2)
        columns.append(of_output(*map(_product, inputs, of_kernel(*row_kernel))))
    tiles = [of_output(*rows) for rows in zip(*columns, strict=True)]
    y = jnp.stack([jnp.stack(pair, axis=-2) for pair in zip(*tiles, strict=True)], axis=-4)
    return einops.rearrange(y, "... h p w q c -> ... (h p) (w q) c")


def _product(x: Float[Array, "... c"], kernel: Float[Array, "c d"]) -> Float[Array, "... d"]:
    """Matrix product over channels: a 1x1 convolution."""
    return jax.lax.dot_general(x, kernel, (((x.ndim - 1,), (0,)), ((), ())))


def conv3x3(x: Float[Array, "*b h w c_in"], kernel: Kernel3x3) -> Float[Array, "*b h w c_out"]:
    """Zero-padded 3x3 convolution by F(2, 3)."""
    height, width = x.shape[-3:-1]
    even = [(0, 0)] * (x.ndim - 3) + [(0, height % 2), (0, width % 2), (0, 0)]
    y = _nested(jnp.pad(x, even), kernel, (_f23_input, _f23_kernel, _f23_output))
    return y[..., :height, :width, :]


def conv3x3_repeated(
    x: Float[Array, "*b h w c_in"], kernel: Kernel3x3
) -> Float[Array, "*b h2 w2 c_out"]:
    """Zero-padded 3x3 convolution of x with every pixel repeated twice along h and along w."""
    return _nested(x, kernel, (_repeat_input, _repeat_kernel, _repeat_output))
