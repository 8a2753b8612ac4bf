# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Arithmetic of modulation in JAX, shared by XLA and the TPU kernels.

`modulate.py` has the definitions. A formula gets tokens, and the float32 vectors of their group in
an array that broadcasts against them. It returns new tokens in float32, and what is to be summed
over the tokens of a group. x^ is the normalised x, and d_x the derivative of the loss by x.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from mugv_jax.axes import Array, Float

EPSILON = 1e-6  # of every norm of the model

Arrays = Sequence[Float[Array, "..."]]


class Formula(NamedTuple):
    """Arithmetic of one operation.

    compute: (tokens, vectors) -> (new tokens, what to sum); for heads see `HEADS`.
    like: for every array of new tokens, the number of the tokens whose dtype it gets.
    sums: number of arrays to sum.
    inverse: heads are rotated by the negative angles.
    """

    compute: Callable[..., tuple[Arrays, Arrays]]
    like: tuple[int, ...] = (0,)
    sums: int = 0
    inverse: bool = False


def normalized(
    x: Float[Array, "*n d"], epsilon: float = EPSILON
) -> tuple[Float[Array, "*n d"], Float[Array, "*n 1"]]:
    """x^ = (x - mean) / sqrt(var + epsilon), and 1 / sqrt(var + epsilon), in float32."""
    x = x.astype(jnp.float32)
    return rms_normalized(x - jnp.mean(x, axis=-1, keepdims=True), epsilon)


def rms_normalized(
    x: Float[Array, "*n d"], epsilon: float = EPSILON
) -> tuple[Float[Array, "*n d"], Float[Array, "*n 1"]]:
    """x^ = x / sqrt(mean(x^2) + epsilon), and 1 / sqrt(mean(x^2) + epsilon), in float32."""
    x = x.astype(jnp.float32)
    inverse = jax.lax.rsqrt(jnp.mean(jnp.square(x), axis=-1, keepdims=True) + epsilon)
    return x * inverse, inverse


def _norm_modulate(tokens: Arrays, vectors: Arrays) -> tuple[Arrays, Arrays]:
    """y = x^ (1 + scale) + shift."""
    (x,), (shift, scale) = tokens, vectors
    return [normalized(x)[0] * (1 + scale) + shift], []


def _norm_modulate_backward(tokens: Arrays, vectors: Arrays) -> tuple[Arrays, Arrays]:
    """d_x = (d_x^ - mean(d_x^) - x^ mean(d_x^ x^)) / sqrt(var + epsilon), d_x^ = d_y (1 + scale).

    To sum: d_y for d_shift, and d_y x^ for d_scale.
    """
    (x, d_y), (scale,) = _wide(tokens), vectors
    x_hat, inverse = normalized(x)
    d_hat = d_y * (1 + scale)
    along = jnp.mean(d_hat * x_hat, axis=-1, keepdims=True)
    d_x = inverse * (d_hat - jnp.mean(d_hat, axis=-1, keepdims=True) - x_hat * along)
    return [d_x], [d_y, d_y * x_hat]


def _gate_residual(tokens: Arrays, vectors: Arrays) -> tuple[Arrays, Arrays]:
    """out = x + gate (update + bias)."""
    (x, update), (bias, gate) = _wide(tokens), vectors
    return [x + gate * (update + bias)], []


def _gate_residual_backward(tokens: Arrays, vectors: Arrays) -> tuple[Arrays, Arrays]:
    """d_update = gate d_out. To sum: d_out and d_out update."""
    (update, d_out), (gate,) = _wide(tokens), vectors
    return [gate * d_out], [d_out, d_out * update]


def _gate_residual_norm_modulate(tokens: Arrays, vectors: Arrays) -> tuple[Arrays, Arrays]:
    """`out` rounded as it is stored, and `y` of the rounded values."""
    (out,), _ = _gate_residual(tokens, vectors[:2])
    out = out.astype(tokens[0].dtype)
    (y,), _ = _norm_modulate([out], vectors[2:])
    return [out, y], []


def _gate_residual_norm_modulate_backward(tokens: Arrays, vectors: Arrays) -> tuple[Arrays, Arrays]:
    """d_x, the sum of both paths, and d_update. To sum: as for the two operations."""
    (out, update, d_out, d_y), (gate, scale) = tokens, vectors
    (d_norm,), norm_sums = _norm_modulate_backward([out, d_y], [scale])
    d_x = d_out.astype(jnp.float32) + d_norm
    d_update, gate_sums = _gate_residual_backward([update, d_x], [gate])
    return [d_x, *d_update], [*gate_sums, *norm_sums]


def _norm_rotate(
    tokens: Arrays, rotate: Callable[[Array], Array], scale: Array
) -> tuple[Arrays, Arrays]:
    """rotate(RMSNorm(q)): normalised in float32, cast to the dtype of q, scaled, then rotated."""
    (q,) = tokens
    q_hat, _ = rms_normalized(q)
    return [rotate(q_hat.astype(q.dtype) * scale.astype(q.dtype))], []


def _norm_rotate_backward(
    tokens: Arrays, rotate: Callable[[Array], Array], scale: Array
) -> tuple[Arrays, Arrays]:
    """d_q. To sum: rotate(d_out) q^, for d_scale. The transpose of a rotation is its inverse."""
    q, d_out = tokens
    q_hat, inverse = rms_normalized(q)
    d_scaled = rotate(d_out)
    d_hat = d_scaled * scale
    along = jnp.mean(d_hat * q_hat, axis=-1, keepdims=True)
    return [inverse * (d_hat - q_hat * along)], [d_scaled * q_hat]


def _wide(tokens: Arrays) -> Arrays:
    return [x.astype(jnp.float32) for x in tokens]


GROUPS = {
    "norm_modulate": Formula(_norm_modulate),
    "norm_modulate_backward": Formula(_norm_modulate_backward, sums=2),
    "gate_residual": Formula(_gate_residual),
    "gate_residual_backward": Formula(_gate_residual_backward, sums=2),
    "gate_residual_norm_modulate": Formula(_gate_residual_norm_modulate, like=(0, 0)),
    "gate_residual_norm_modulate_backward": Formula(
        _gate_residual_norm_modulate_backward, like=(0, 1), sums=4
    ),
}
# Formulas of (tokens, rotation to float32, float32 scale); their sums are over all heads.
HEADS = {
    "norm_rotate": Formula(_norm_rotate),
    "norm_rotate_backward": Formula(_norm_rotate_backward, sums=1, inverse=True),
}
