# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Softmax attention whose memory grows linearly with the number of tokens, on every platform.

    out_i = sum_j softmax_j(q_i . k_j / sqrt(e)) v_j,    j < key_lengths

`attend` picks an implementation by platform and dtype; each takes and returns the same arrays.
Scores and softmax are float32 everywhere.
"""

from collections.abc import Callable

import einops
import jax
import jax.numpy as jnp

from mugv_jax.axes import Array, Float, Int
from mugv_jax.kernels import select

Attend = Callable[..., Array]

SCORE_BYTES = 512 * 2**20  # of one step's scores, off CPU
CPU_SCORE_BYTES = 4 * 2**20  # on CPU they should stay in the cache


def attend(
    q: Float[Array, "b n a e"],
    k: Float[Array, "b s a e"],
    v: Float[Array, "b s a e"],
    key_lengths: Int[Array, "b"] | None = None,
    *,
    implementation: str | None = None,
) -> Float[Array, "b n a e"]:
    """Attention over the first `key_lengths[i]` keys of sample i (all keys if None).

    implementation: "cudnn" (NVIDIA GPU, 16-bit), "xla" (anywhere), or None to choose.

    Raises:
        ValueError: unknown implementation.
    """
    implementation = implementation or select.attention(q.dtype)
    if implementation == "cudnn":
        return jax.nn.dot_product_attention(
            q, k, v, key_value_seq_lengths=_lengths(key_lengths), implementation="cudnn"
        )
    if implementation == "xla":
        return attend_xla(q, k, v, key_lengths)
    raise ValueError(f"implementation={implementation!r} is not one of 'cudnn', 'xla'.")


def _lengths(key_lengths: Int[Array, "b"] | None) -> Int[Array, "b"] | None:
    return None if key_lengths is None else key_lengths.astype(jnp.int32)


def attend_xla(
    q: Float[Array, "b n a e"],
    k: Float[Array, "b s a e"],
    v: Float[Array, "b s a e"],
    key_lengths: Int[Array, "b"] | None = None,
) -> Float[Array, "b n a e"]:
    """Plain XLA: a loop over blocks of queries (on CPU also over heads), each with all keys."""
    b, n, a = q.shape[:3]
    on_cpu = select.platform() == "cpu"
    heads = 1 if on_cpu else a
    batch = 1 if on_cpu else b
    budget = CPU_SCORE_BYTES if on_cpu else SCORE_BYTES
    block = _block(n, budget // (4 * batch * heads * k.shape[1]))
    valid = jnp.full((b,), k.shape[1]) if key_lengths is None else key_lengths
    valid = jnp.broadcast_to(valid[:, None], (b, a)).reshape(b // batch, a // heads, batch, heads)

    def split(x: Array) -> Array:
        return einops.rearrange(x, "(B b) n (A a) e -> (B A) b a n e", b=batch, a=heads)

    def one_group(group: tuple[Array, ...]) -> Array:
        q_bane, k_base, v_base, valid_ba = group
        blocks = einops.rearrange(q_bane, "b a (k n) e -> k b a n e", n=block)
        out = jax.lax.map(lambda q_block: _attend_block(q_block, k_base, v_base, valid_ba), blocks)
        return einops.rearrange(out, "k b a n e -> b a (k n) e")

    q = jnp.pad(q, ((0, 0), (0, -n % block), (0, 0), (0, 0)))
    groups = (split(q), split(k), split(v), valid.reshape(-1, batch, heads))
    out = jax.lax.map(one_group, groups)
    out = einops.rearrange(out, "(B A) b a n e -> (B b) n (A a) e", B=b // batch)
    return out[:, :n]


def _block(n: int, limit: int) -> int:
    """Rows per step: at most `limit`, evenly spread so that little padding is computed."""
    limit = max(16, limit)
    steps = -(-n // limit)
    return -(-n // steps)


def _attend_block(
    q: Float[Array, "b a n e"],
    k: Float[Array, "b a s e"],
    v: Float[Array, "b a s e"],
    valid: Int[Array, "b a"],
) -> Float[Array, "b a n e"]:
    score = jnp.einsum("bane,base->bans", q, k, preferred_element_type=jnp.float32)
    score = score * (q.shape[-1] ** -0.5)
    seen = jnp.arange(k.shape[2])[None, None, None] < valid[:, :, None, None]
    # A large finite value: a row without any key must not turn into NaN.
    score = jnp.where(seen, score, jnp.float32(-1e30))
    weight = jnp.exp(score - jnp.max(score, axis=-1, keepdims=True))
    out = jnp.einsum(
        "bans,base->bane", weight.astype(v.dtype), v, preferred_element_type=jnp.float32
    )
    return (out / jnp.sum(weight, axis=-1, keepdims=True)).astype(q.dtype)
