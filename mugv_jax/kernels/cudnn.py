# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Attention by cuDNN, on NVIDIA GPUs and in 16-bit types."""

import jax
import jax.numpy as jnp

from mugv_jax.axes import Array, Float, Int


def attend(
    q: Float[Array, "b n a e"],
    k: Float[Array, "b s a e"],
    v: Float[Array, "b s a e"],
    key_lengths: Int[Array, "b"] | None,
) -> Float[Array, "b n a e"]:
    """Attention, which has no derivative if the number of queries or keys is odd."""
    lengths = None if key_lengths is None else key_lengths.astype(jnp.int32)
    return jax.nn.dot_product_attention(
        q, k, v, key_value_seq_lengths=lengths, implementation="cudnn"
    )


def attend_evenly(
    q: Float[Array, "b n a e"],
    k: Float[Array, "b s a e"],
    v: Float[Array, "b s a e"],
    key_lengths: Int[Array, "b"] | None,
) -> Float[Array, "b n a e"]:
    """`attend` with padding to even numbers, and so with a derivative."""
    n, s = q.shape[1], k.shape[1]
    if s % 2 and key_lengths is None:
        key_lengths = jnp.full(k.shape[:1], s)
    q, k, v = (jnp.pad(x, ((0, 0), (0, x.shape[1] % 2), (0, 0), (0, 0))) for x in (q, k, v))
    return attend(q, k, v, key_lengths)[:, :n]
