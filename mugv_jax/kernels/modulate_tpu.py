# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Modulation on TPU (Pallas, Mosaic): the functions of `modulate_xla.py`, each as one kernel.

This module holds the arithmetic, on a strip of float32 tokens and the vectors of its group.
`modulate_tpu_groups.py` loads the strips and vectors; `modulate_tpu_rotate.py` has the rotation.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from mugv_jax.axes import Array, Float, Int
from mugv_jax.kernels.modulate_tpu_groups import over_groups
from mugv_jax.kernels.modulate_tpu_rotate import norm_rotate, norm_rotate_backward
from mugv_jax.kernels.modulate_xla import EPSILON

__all__ = (
    "gate_residual",
    "gate_residual_backward",
    "gate_residual_norm_modulate",
    "gate_residual_norm_modulate_backward",
    "norm_modulate",
    "norm_modulate_backward",
    "norm_rotate",
    "norm_rotate_backward",
)

Strips = Sequence[Float[Array, "r d"]]
Rows = Sequence[Float[Array, "1 d"]]


def norm_modulate(
    x: Float[Array, "b n d"],
    shift: Float[Array, "b g d"],
    scale: Float[Array, "b g d"],
    group: Int[Array, "n"],
) -> Float[Array, "b n d"]:
    """LN(x) (1 + scale_g) + shift_g."""

    def compute(tokens: Strips, vectors: Rows) -> tuple[Strips, Strips]:
        (x,), (shift, scale) = tokens, vectors
        return [_normalized(x)[0] * (1 + scale) + shift], []

    (y,), _ = over_groups("norm_modulate", compute, [x], [shift, scale], group, dtypes=[x.dtype])
    return y


def norm_modulate_backward(
    x: Float[Array, "b n d"],
    scale: Float[Array, "b g d"],
    group: Int[Array, "n"],
    d_y: Float[Array, "b n d"],
) -> tuple[Float[Array, "b n d"], Float[Array, "b g d"], Float[Array, "b g d"]]:
    """d_x in the dtype of x, and the sums over each group of d_y (for shift) and d_y x^ (scale)."""

    def compute(tokens: Strips, vectors: Rows) -> tuple[Strips, Strips]:
        (x, d_y), (scale,) = tokens, vectors
        x_hat, inverse = _normalized(x)
        return [_normalized_backward(x_hat, inverse, d_y * (1 + scale))], [d_y, d_y * x_hat]

    (d_x,), sums = over_groups(
        "norm_modulate_backward", compute, [x, d_y], [scale], group, dtypes=[x.dtype], sums=2
    )
    d_shift, d_scale = sums
    return d_x, d_shift, d_scale


def gate_residual(
    x: Float[Array, "b n d"],
    update: Float[Array, "b n d"],
    bias: Float[Array, "d"],
    gate: Float[Array, "b g d"],
    group: Int[Array, "n"],
) -> Float[Array, "b n d"]:
    """x + gate_g (update + bias)."""

    def compute(tokens: Strips, vectors: Rows) -> tuple[Strips, Strips]:
        (x, update), (gate, bias) = tokens, vectors
        return [x + gate * (update + bias)], []

    vectors = [gate, _of_every_group(bias, gate)]
    (out,), _ = over_groups("gate_residual", compute, [x, update], vectors, group, dtypes=[x.dtype])
    return out


def gate_residual_backward(
    update: Float[Array, "b n d"],
    gate: Float[Array, "b g d"],
    group: Int[Array, "n"],
    d_out: Float[Array, "b n d"],
) -> tuple[Float[Array, "b n d"], Float[Array, "b g d"], Float[Array, "b g d"]]:
    """d_update in the dtype of update, and the sums over each group of d_out and d_out update."""

    def compute(tokens: Strips, vectors: Rows) -> tuple[Strips, Strips]:
        (update, d_out), (gate,) = tokens, vectors
        return [gate * d_out], [d_out, d_out * update]

    (d_update,), sums = over_groups(
        "gate_residual_backward",
        compute,
        [update, d_out],
        [gate],
        group,
        dtypes=[update.dtype],
        sums=2,
    )
    total, product = sums
    return d_update, total, product


def gate_residual_norm_modulate(
    x: Float[Array, "b n d"],
    update: Float[Array, "b n d"],
    bias: Float[Array, "d"],
    gate: Float[Array, "b g d"],
    shift: Float[Array, "b g d"],
    scale: Float[Array, "b g d"],
    group: Int[Array, "n"],
) -> tuple[Float[Array, "b n d"], Float[Array, "b n d"]]:
    """`out = gate_residual(x, ...)`, rounded to its dtype, and `norm_modulate(out, ...)`."""
    dtype = x.dtype

    def compute(tokens: Strips, vectors: Rows) -> tuple[Strips, Strips]:
        (x, update), (gate, bias, shift, scale) = tokens, vectors
        out = (x + gate * (update + bias)).astype(dtype).astype(jnp.float32)
        return [out, _normalized(out)[0] * (1 + scale) + shift], []

    vectors = [gate, _of_every_group(bias, gate), shift, scale]
    (out, y), _ = over_groups(
        "gate_residual_norm_modulate",
        compute,
        [x, update],
        vectors,
        group,
        dtypes=[dtype, dtype],
    )
    return out, y


def gate_residual_norm_modulate_backward(
    out: Float[Array, "b n d"],
    update: Float[Array, "b n d"],
    gate: Float[Array, "b g d"],
    scale: Float[Array, "b g d"],
    group: Int[Array, "n"],
    d_out: Float[Array, "b n d"],
    d_y: Float[Array, "b n d"],
) -> tuple[
    Float[Array, "b n d"],
    Float[Array, "b n d"],
    Float[Array, "b g d"],
    Float[Array, "b g d"],
    Float[Array, "b g d"],
    Float[Array, "b g d"],
]:
    """d_x, d_update, the sums of `gate_residual_backward` and those of `norm_modulate_backward`."""

    def compute(tokens: Strips, vectors: Rows) -> tuple[Strips, Strips]:
        (out, update, d_out, d_y), (gate, scale) = tokens, vectors
        x_hat, inverse = _normalized(out)
        d_x = d_out + _normalized_backward(x_hat, inverse, d_y * (1 + scale))
        return [d_x, gate * d_x], [d_x, d_x * update, d_y, d_y * x_hat]

    (d_x, d_update), sums = over_groups(
        "gate_residual_norm_modulate_backward",
        compute,
        [out, update, d_out, d_y],
        [gate, scale],
        group,
        dtypes=[out.dtype, update.dtype],
        sums=4,
    )
    total, product, d_shift, d_scale = sums
    return d_x, d_update, total, product, d_shift, d_scale


def _of_every_group(bias: Float[Array, "d"], gate: Float[Array, "b g d"]) -> Float[Array, "b g d"]:
    """The bias as vectors of every group, which is what a kernel takes."""
    return jnp.broadcast_to(bias.astype(jnp.float32), gate.shape)


def _normalized(x: Float[Array, "r d"]) -> tuple[Float[Array, "r d"], Float[Array, "r 1"]]:
    """x^ = (x - mean) / sqrt(var + epsilon), and 1 / sqrt(var + epsilon)."""
    x = x - jnp.mean(x, axis=-1, keepdims=True)
    inverse = jax.lax.rsqrt(jnp.mean(jnp.square(x), axis=-1, keepdims=True) + EPSILON)
    return x * inverse, inverse


def _normalized_backward(
    x_hat: Float[Array, "r d"], inverse: Float[Array, "r 1"], d_hat: Float[Array, "r d"]
) -> Float[Array, "r d"]:
    """d_x = (d_x^ - mean(d_x^) - x^ mean(d_x^ x^)) / sqrt(var + epsilon)."""
    along = jnp.mean(d_hat * x_hat, axis=-1, keepdims=True)
    return inverse * (d_hat - jnp.mean(d_hat, axis=-1, keepdims=True) - x_hat * along)
