# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Per-frame modulation of tokens (adaptive LayerNorm), as XLA fuses it.

Tokens come in groups that share their vectors: the start token, each latent frame, the end token.
`group` gives every token's group; the vectors stay per group and are looked up.
"""

import jax
import jax.numpy as jnp

from mugv_jax.axes import Array, Float, Int


def normalize(x: Float[Array, "... d"], epsilon: float) -> Float[Array, "... d"]:
    """(x - mean) / sqrt(var + epsilon) over the last axis, computed and returned in float32."""
    x = x.astype(jnp.float32)
    x = x - jnp.mean(x, axis=-1, keepdims=True)
    return x * jax.lax.rsqrt(jnp.mean(jnp.square(x), axis=-1, keepdims=True) + epsilon)


def norm_modulate(
    x: Float[Array, "b n d"],
    shift: Float[Array, "b g d"],
    scale: Float[Array, "b g d"],
    group: Int[Array, "n"],
    epsilon: float = 1e-6,
) -> Float[Array, "b n d"]:
    """LN(x) (1 + scale_g) + shift_g in float32, returned in the dtype of x."""
    y = normalize(x, epsilon) * (1 + _of_token(scale, group)) + _of_token(shift, group)
    return y.astype(x.dtype)


def gate_residual(
    x: Float[Array, "b n d"],
    update: Float[Array, "b n d"],
    gate: Float[Array, "b g d"],
    group: Int[Array, "n"],
) -> Float[Array, "b n d"]:
    """x + gate_g update in float32, returned in the dtype of x."""
    y = x.astype(jnp.float32) + _of_token(gate, group) * update.astype(jnp.float32)
    return y.astype(x.dtype)


def _of_token(vectors: Float[Array, "b g d"], group: Int[Array, "n"]) -> Float[Array, "b n d"]:
    return jnp.take(vectors.astype(jnp.float32), group, axis=1)
