# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Attention in plain XLA, block by block, with its own backward pass.

    score_ij = q_i . k_j / sqrt(e),    lse_i = log sum_j exp score_ij,    prob_ij = exp(score - lse)
    out_i = sum_j prob_ij v_j

and, from the derivative `d_out` (Dao et al., arXiv:2205.14135, appendix B.4),

    delta_i = d_out_i . out_i,    d_score_ij = prob_ij (d_out_i . v_j - delta_i)

The backward pass therefore needs q, k, v, out and lse only, and the n x s scores are never stored.
In ring attention `out` and `lse` come from more keys than are given: the results are then what the
given keys contribute to the derivatives.
"""

import einops
import jax
import jax.numpy as jnp

from mugv_jax.axes import Array, Float, Int
from mugv_jax.kernels import select

SCORE_BYTES = 512 * 2**20  # largest block of scores on GPUs and TPUs
CPU_SCORE_BYTES = 4 * 2**20  # on a CPU a block should stay in the cache
UNSEEN = -1e30  # score of a masked key: finite, so that a row without keys does not become NaN


def forward(
    q: Float[Array, "b n a e"],
    k: Float[Array, "b s a e"],
    v: Float[Array, "b s a e"],
    key_lengths: Int[Array, "b"] | None,
) -> tuple[Float[Array, "b n a e"], Float[Array, "b n a"]]:
    """`out` in the dtype of q, and float32 `lse`.

    A loop over blocks of queries, on a CPU over samples and heads as well; a block meets all keys.
    """
    groups = _Groups(q, k)

    def one_group(group: tuple[Array, ...]) -> tuple[Array, Array]:
        q_bane, k_base, v_base, valid_ba = group
        return jax.lax.map(
            lambda q_block: _forward_block(q_block, k_base, v_base, valid_ba),
            groups.blocks(q_bane),
        )

    out, lse = jax.lax.map(
        one_group,
        (groups.split_queries(q), groups.split(k), groups.split(v), groups.valid(k, key_lengths)),
    )
    return groups.join_queries(out), groups.join_queries(lse[..., None])[..., 0]


def backward(
    q: Float[Array, "b n a e"],
    k: Float[Array, "b s a e"],
    v: Float[Array, "b s a e"],
    key_lengths: Int[Array, "b"] | None,
    out: Float[Array, "b n a e"],
    lse: Float[Array, "b n a"],
    d_out: Float[Array, "b n a e"],
) -> tuple[Float[Array, "b n a e"], Float[Array, "b s a e"], Float[Array, "b s a e"]]:
    """Float32 derivatives by q, k and v; those by k and v are summed over blocks of queries."""
    groups = _Groups(q, k)
    delta = jnp.sum(d_out.astype(jnp.float32) * out.astype(jnp.float32), axis=-1)

    def one_group(group: tuple[Array, ...]) -> tuple[Array, Array, Array]:
        *rows, k_base, v_base, valid_ba = group

        def one_block(sums: tuple[Array, Array], block: tuple[Array, ...]):
            q_i, d_i, lse_i, delta_i = block
            d_q, d_k, d_v = _backward_block(q_i, d_i, lse_i, delta_i, k_base, v_base, valid_ba)
            return (sums[0] + d_k, sums[1] + d_v), d_q

        zeros = jnp.zeros(k_base.shape, jnp.float32)
        (d_k, d_v), d_q = jax.lax.scan(
            one_block, (zeros, zeros), tuple(groups.blocks(row) for row in rows)
        )
        return d_q, d_k, d_v

    rows = (q, d_out, lse[..., None], delta[..., None])
    d_q, d_k, d_v = jax.lax.map(
        one_group,
        (
            *(groups.split_queries(row) for row in rows),
            groups.split(k),
            groups.split(v),
            groups.valid(k, key_lengths),
        ),
    )
    return groups.join_queries(d_q), groups.join(d_k), groups.join(d_v)


class _Groups:
    """Division of the work into groups of samples and heads, and blocks of queries.

    A CPU takes one sample and one head at a time, other devices take all of them.
    """

    def __init__(self, q: Float[Array, "b n a e"], k: Float[Array, "b s a e"]):
        on_cpu = select.platform() == "cpu"
        self.samples, self.n, heads = q.shape[:3]
        self.b, self.a = (1, 1) if on_cpu else (self.samples, heads)
        budget = CPU_SCORE_BYTES if on_cpu else SCORE_BYTES
        limit = max(16, budget // (4 * self.b * self.a * k.shape[1]))
        steps = -(-self.n // limit)
        self.block = -(-self.n // steps)  # blocks of nearly equal size need little padding

    def split(self, x: Array) -> Array:
        """Array (b s a e) as (groups, b, a, s, e)."""
        return einops.rearrange(x, "(B b) s (A a) e -> (B A) b a s e", b=self.b, a=self.a)

    def join(self, x: Array) -> Float[Array, "b s a e"]:
        """The inverse of `split`."""
        batches = self.samples // self.b
        return einops.rearrange(x, "(B A) b a s e -> (B b) s (A a) e", B=batches)

    def split_queries(self, x: Float[Array, "b n a e"]) -> Array:
        """`split` of queries, padded to whole blocks."""
        return self.split(jnp.pad(x, ((0, 0), (0, -self.n % self.block), (0, 0), (0, 0))))

    def blocks(self, x: Array) -> Array:
        """Blocks of queries of one group, along a new leading axis."""
        return einops.rearrange(x, "b a (k n) e -> k b a n e", n=self.block)

    def join_queries(self, x: Array) -> Float[Array, "b n a e"]:
        """The inverse of `split_queries` and `blocks`, without the padding."""
        return self.join(einops.rearrange(x, "g k b a n e -> g b a (k n) e"))[:, : self.n]

    def valid(self, k: Float[Array, "b s a e"], key_lengths: Int[Array, "b"] | None) -> Array:
        """Number of keys that each sample and head of a group sees."""
        b, s, a = k.shape[:3]
        lengths = jnp.full((b,), s) if key_lengths is None else key_lengths
        lengths = jnp.broadcast_to(lengths[:, None, None, None], (b, 1, a, 1))
        return self.split(lengths)[..., 0, 0]


def _scores(q: Array, k: Array, valid: Int[Array, "b a"]) -> Float[Array, "b a n s"]:
    """Scores of a block, UNSEEN for masked keys."""
    score = jnp.einsum("bane,base->bans", q, k, preferred_element_type=jnp.float32)
    seen = jnp.arange(k.shape[2])[None, None, None] < valid[:, :, None, None]
    return jnp.where(seen, score * (q.shape[-1] ** -0.5), jnp.float32(UNSEEN))


def _forward_block(
    q: Float[Array, "b a n e"],
    k: Float[Array, "b a s e"],
    v: Float[Array, "b a s e"],
    valid: Int[Array, "b a"],
) -> tuple[Float[Array, "b a n e"], Float[Array, "b a n"]]:
    """`out` and `lse` of one block of queries."""
    score = _scores(q, k, valid)
    most = jnp.max(score, axis=-1, keepdims=True)
    weight = jnp.exp(score - most)
    total = jnp.sum(weight, axis=-1, keepdims=True)
    out = jnp.einsum(
        "bans,base->bane", weight.astype(v.dtype), v, preferred_element_type=jnp.float32
    )
    return (out / total).astype(q.dtype), (most + jnp.log(total))[..., 0]


def _backward_block(
    q: Float[Array, "b a n e"],
    d_out: Float[Array, "b a n e"],
    lse: Float[Array, "b a n 1"],
    delta: Float[Array, "b a n 1"],
    k: Float[Array, "b a s e"],
    v: Float[Array, "b a s e"],
    valid: Int[Array, "b a"],
) -> tuple[Float[Array, "b a n e"], Float[Array, "b a s e"], Float[Array, "b a s e"]]:
    """d_q of one block of queries, and what the block adds to d_k and d_v."""
    prob = jnp.exp(_scores(q, k, valid) - lse)
    d_v = jnp.einsum(
        "bans,bane->base", prob.astype(d_out.dtype), d_out, preferred_element_type=jnp.float32
    )
    d_prob = jnp.einsum("bane,base->bans", d_out, v, preferred_element_type=jnp.float32)
    d_score = (prob * (d_prob - delta) * (q.shape[-1] ** -0.5)).astype(q.dtype)
    d_q = jnp.einsum("bans,base->bane", d_score, k, preferred_element_type=jnp.float32)
    d_k = jnp.einsum("bans,bane->base", d_score, q, preferred_element_type=jnp.float32)
    return d_q, d_k, d_v
