# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Modulation in plain XLA: the reference for the kernels, and the default where none runs."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from mugv_jax.axes import Array, Float, Int
from mugv_jax.kernels.modulate_formulas import EPSILON, GROUPS, HEADS, normalized


def normalize(x: Float[Array, "... d"], epsilon: float = EPSILON) -> Float[Array, "... d"]:
    """(x - mean) / sqrt(var + epsilon) over the last axis, computed and returned in float32."""
    return normalized(x, epsilon)[0]


def rotate(
    x: Float[Array, "b n a e"], cos: Float[Array, "b n k"], sin: Float[Array, "b n k"]
) -> Float[Array, "b n a e"]:
    """The pairs (x[i], x[i + e/2]) rotated by the angles: float32 arithmetic, the dtype of x."""
    return _rotated(x, cos, sin).astype(x.dtype)


def norm_modulate(
    x: Float[Array, "b n d"],
    shift: Float[Array, "b g d"],
    scale: Float[Array, "b g d"],
    group: Int[Array, "n"],
) -> Float[Array, "b n d"]:
    """LN(x) (1 + scale_g) + shift_g."""
    return over_groups("norm_modulate", [x], [shift, scale], group)[0][0]


def over_groups(
    operation: str,
    tokens: Sequence[Float[Array, "b n d"]],
    vectors: Sequence[Float[Array, "..."]],
    group: Int[Array, "n"],
) -> tuple[list[Float[Array, "b n d"]], list[Float[Array, "b g d"]]]:
    """New tokens of an operation, and its float32 sums over each group; see `modulate.py`."""
    formula, groups = GROUPS[operation], vectors[-1].shape[1]
    new, summed = formula.compute(tokens, [_of_token(vector, group) for vector in vectors])
    new = [x.astype(tokens[i].dtype) for x, i in zip(new, formula.like, strict=True)]
    return new, [_group_sum(x, group, groups) for x in summed]


def over_heads(
    operation: str,
    tokens: Sequence[Float[Array, "b n a e"]],
    scale: Float[Array, "e"],
    cos: Float[Array, "b n k"],
    sin: Float[Array, "b n k"],
) -> tuple[Float[Array, "b n a e"], list[Float[Array, "e"]]]:
    """New tokens of an operation, and its float32 sums over all heads; see `modulate.py`."""
    formula = HEADS[operation]
    sin = -sin if formula.inverse else sin
    (new,), summed = formula.compute(
        tokens, lambda x: _rotated(x, cos, sin), scale.astype(jnp.float32)[None, None, None]
    )
    return new.astype(tokens[0].dtype), [jnp.sum(x, axis=(0, 1, 2)) for x in summed]


def _of_token(
    vector: Float[Array, "b g d"] | Float[Array, "d"], group: Int[Array, "n"]
) -> Float[Array, "_b _n d"]:
    """Float32 vectors of every token: those of its group, or the one that all tokens share."""
    vector = vector.astype(jnp.float32)
    return vector[None, None] if vector.ndim == 1 else jnp.take(vector, group, axis=1)


def _group_sum(
    x: Float[Array, "b n d"], group: Int[Array, "n"], groups: int
) -> Float[Array, "b g d"]:
    """Sums of x over the tokens of each group.

    A matrix product: a scatter-add would be slower, and is not split over the devices of a mesh.
    """
    member = jax.nn.one_hot(group, groups, dtype=jnp.float32)
    return jnp.einsum("bnd,ng->bgd", x, member, precision=jax.lax.Precision.HIGHEST)


def _rotated(
    x: Float[Array, "b n a e"], cos: Float[Array, "b n k"], sin: Float[Array, "b n k"]
) -> Float[Array, "b n a e"]:
    """`rotate` with a float32 result."""
    real, imag = jnp.split(x.astype(jnp.float32), 2, axis=-1)
    cos, sin = cos[:, :, None], sin[:, :, None]
    return jnp.concatenate([real * cos - imag * sin, real * sin + imag * cos], axis=-1)
