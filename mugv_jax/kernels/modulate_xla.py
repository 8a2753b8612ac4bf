# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Modulation in plain XLA: the reference for the kernels, and the default where none runs.

Statistics and arithmetic are float32. `modulate.py` has the definitions of the operations. In all
modules x^ is the normalised x, and d_x the derivative of the loss by x.
"""

import jax
import jax.numpy as jnp

from mugv_jax.axes import Array, Float, Int

EPSILON = 1e-6  # of every norm of the model


def normalize(x: Float[Array, "... d"], epsilon: float = EPSILON) -> Float[Array, "... d"]:
    """(x - mean) / sqrt(var + epsilon) over the last axis, computed and returned in float32."""
    x = x.astype(jnp.float32)
    x = x - jnp.mean(x, axis=-1, keepdims=True)
    return x * jax.lax.rsqrt(jnp.mean(jnp.square(x), axis=-1, keepdims=True) + epsilon)


def rotate(
    x: Float[Array, "b n a e"], cos: Float[Array, "b n k"], sin: Float[Array, "b n k"]
) -> Float[Array, "b n a e"]:
    """The pairs (x[i], x[i + e/2]) rotated by the angles: float32 arithmetic, the dtype of x."""
    return _turned(x, cos, sin).astype(x.dtype)


def norm_modulate(
    x: Float[Array, "b n d"],
    shift: Float[Array, "b g d"],
    scale: Float[Array, "b g d"],
    group: Int[Array, "n"],
) -> Float[Array, "b n d"]:
    """LN(x) (1 + scale_g) + shift_g."""
    y = normalize(x) * (1 + _of_token(scale, group)) + _of_token(shift, group)
    return y.astype(x.dtype)


def norm_modulate_backward(
    x: Float[Array, "b n d"],
    scale: Float[Array, "b g d"],
    group: Int[Array, "n"],
    d_y: Float[Array, "b n d"],
) -> tuple[Float[Array, "b n d"], Float[Array, "b g d"], Float[Array, "b g d"]]:
    """d_x in the dtype of x, and the sums over each group of d_y (for shift) and d_y x^ (scale)."""
    d_x, d_shift, d_scale = _norm_backward(x, scale, group, d_y)
    return d_x.astype(x.dtype), d_shift, d_scale


def gate_residual(
    x: Float[Array, "b n d"],
    update: Float[Array, "b n d"],
    bias: Float[Array, "d"],
    gate: Float[Array, "b g d"],
    group: Int[Array, "n"],
) -> Float[Array, "b n d"]:
    """x + gate_g (update + bias)."""
    update = update.astype(jnp.float32) + bias.astype(jnp.float32)[None, None]
    return (x.astype(jnp.float32) + _of_token(gate, group) * update).astype(x.dtype)


def gate_residual_backward(
    update: Float[Array, "b n d"],
    gate: Float[Array, "b g d"],
    group: Int[Array, "n"],
    d_out: Float[Array, "b n d"],
) -> tuple[Float[Array, "b n d"], Float[Array, "b g d"], Float[Array, "b g d"]]:
    """d_update in the dtype of update, and the sums over each group of d_out and d_out update."""
    d_out = d_out.astype(jnp.float32)
    d_update = _of_token(gate, group) * d_out
    return (
        d_update.astype(update.dtype),
        _group_sum(d_out, group, gate),
        _group_sum(d_out * update.astype(jnp.float32), group, gate),
    )


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
    out = gate_residual(x, update, bias, gate, group)
    return out, norm_modulate(out, shift, scale, group)


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
    d_norm, d_shift, d_scale = _norm_backward(out, scale, group, d_y)
    d_out = d_out.astype(jnp.float32) + d_norm
    d_update, total, product = gate_residual_backward(update, gate, group, d_out)
    return d_out.astype(out.dtype), d_update, total, product, d_shift, d_scale


def norm_rotate(
    q: Float[Array, "b n a e"],
    scale: Float[Array, "e"],
    cos: Float[Array, "b n k"],
    sin: Float[Array, "b n k"],
) -> Float[Array, "b n a e"]:
    """rotate(RMSNorm(q)): normalised in float32, cast to the dtype of q, scaled, then rotated."""
    q_hat, _ = _rms_normalized(q)
    scaled = q_hat.astype(q.dtype) * scale.astype(q.dtype)[None, None, None]
    return rotate(scaled, cos, sin)


def norm_rotate_backward(
    q: Float[Array, "b n a e"],
    scale: Float[Array, "e"],
    cos: Float[Array, "b n k"],
    sin: Float[Array, "b n k"],
    d_out: Float[Array, "b n a e"],
) -> tuple[Float[Array, "b n a e"], Float[Array, "e"]]:
    """d_q in the dtype of q, and d_scale in float32."""
    q_hat, inverse = _rms_normalized(q)
    d_scaled = _turned(d_out, cos, -sin)  # the transpose of a rotation is its inverse
    d_hat = d_scaled * scale.astype(jnp.float32)[None, None, None]
    d_q = inverse * (d_hat - q_hat * jnp.mean(d_hat * q_hat, axis=-1, keepdims=True))
    return d_q.astype(q.dtype), jnp.sum(d_scaled * q_hat, axis=(0, 1, 2))


def _norm_backward(
    x: Float[Array, "b n d"],
    scale: Float[Array, "b g d"],
    group: Int[Array, "n"],
    d_y: Float[Array, "b n d"],
) -> tuple[Float[Array, "b n d"], Float[Array, "b g d"], Float[Array, "b g d"]]:
    """`norm_modulate_backward` with d_x in float32. With d_x^ = d_y (1 + scale_g),

    d_x = (d_x^ - mean(d_x^) - x^ mean(d_x^ x^)) / sqrt(var + epsilon)
    """
    x, d_y = x.astype(jnp.float32), d_y.astype(jnp.float32)
    x = x - jnp.mean(x, axis=-1, keepdims=True)
    inverse = jax.lax.rsqrt(jnp.mean(jnp.square(x), axis=-1, keepdims=True) + EPSILON)
    x_hat = x * inverse
    d_hat = d_y * (1 + _of_token(scale, group))
    d_x = d_hat - jnp.mean(d_hat, axis=-1, keepdims=True)
    d_x = inverse * (d_x - x_hat * jnp.mean(d_hat * x_hat, axis=-1, keepdims=True))
    return d_x, _group_sum(d_y, group, scale), _group_sum(d_y * x_hat, group, scale)


def _of_token(vectors: Float[Array, "b g d"], group: Int[Array, "n"]) -> Float[Array, "b n d"]:
    """Float32 vectors of every token: those of its group."""
    return jnp.take(vectors.astype(jnp.float32), group, axis=1)


def _group_sum(
    x: Float[Array, "b n d"], group: Int[Array, "n"], vectors: Float[Array, "b g d"]
) -> Float[Array, "b g d"]:
    """Sums of x over the tokens of each group; `vectors` tells the number of groups.

    A matrix product: a scatter-add would be slower, and is not split over the devices of a mesh.
    """
    member = jax.nn.one_hot(group, vectors.shape[1], dtype=jnp.float32)
    return jnp.einsum("bnd,ng->bgd", x, member, precision=jax.lax.Precision.HIGHEST)


def _rms_normalized(
    q: Float[Array, "b n a e"],
) -> tuple[Float[Array, "b n a e"], Float[Array, "b n a 1"]]:
    """q / sqrt(mean(q^2) + epsilon), and 1 / sqrt(mean(q^2) + epsilon), float32."""
    q = q.astype(jnp.float32)
    inverse = jax.lax.rsqrt(jnp.mean(jnp.square(q), axis=-1, keepdims=True) + EPSILON)
    return q * inverse, inverse


def _turned(
    x: Float[Array, "b n a e"], cos: Float[Array, "b n k"], sin: Float[Array, "b n k"]
) -> Float[Array, "b n a e"]:
    """`rotate` with a float32 result."""
    real, imag = jnp.split(x.astype(jnp.float32), 2, axis=-1)
    cos, sin = cos[:, :, None], sin[:, :, None]
    return jnp.concatenate([real * cos - imag * sin, real * sin + imag * cos], axis=-1)
