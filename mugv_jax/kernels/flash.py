# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Attention in blocks with its own backward pass, in plain XLA: no n x s scores are ever stored.

    score_ij = q_i . k_j / sqrt(e),    lse_i = log sum_j exp score_ij,    prob_ij = exp(score - lse)
    out_i = sum_j prob_ij v_j

and, given the derivative `d_out` (Dao et al., arXiv:2205.14135, appendix B.4),

    delta_i = d_out_i . out_i,    d_score_ij = prob_ij (d_out_i . v_j - delta_i)

so that q, k, v, out and lse are all that the backward pass needs. `out` and `lse` may come from
more keys than are given: the derivatives are then those of the given keys' part (ring attention).
"""

import einops
import jax
import jax.numpy as jnp

from mugv_jax.axes import Array, Float, Int
from mugv_jax.kernels import select

SCORE_BYTES = 512 * 2**20  # of one step's scores, off CPU
CPU_SCORE_BYTES = 4 * 2**20  # on CPU they should stay in the cache
# Of keys that are not seen: finite, since a row without any key must not turn into NaN.
UNSEEN = -1e30


def forward(
    q: Float[Array, "b n a e"],
    k: Float[Array, "b s a e"],
    v: Float[Array, "b s a e"],
    key_lengths: Int[Array, "b"] | None,
) -> tuple[Float[Array, "b n a e"], Float[Array, "b n a"]]:
    """`out` in the dtype of q, and float32 `lse`: a loop over blocks of queries (on CPU also over
    heads), each with all keys."""
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
    """Derivatives by q, k and v, float32: the same blocks, with sums over them for k and v."""
    groups = _Groups(q, k)
    delta = jnp.sum(d_out.astype(jnp.float32) * out.astype(jnp.float32), axis=-1)

    def one_group(group: tuple[Array, ...]) -> tuple[Array, Array, Array]:
        *rows, k_base, v_base, valid_ba = group

        def one_block(sums: tuple[Array, Array], block: tuple[Array, ...]):
            d_q, d_k, d_v = _backward_block(*block, k_base, v_base, valid_ba)
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
    """How samples, heads (groups of a whole number of both) and queries (blocks) are taken."""

    def __init__(self, q: Float[Array, "b n a e"], k: Float[Array, "b s a e"]):
        on_cpu = select.platform() == "cpu"
        self.samples, self.n, heads = q.shape[:3]
        self.b, self.a = (1, 1) if on_cpu else (self.samples, heads)
        budget = CPU_SCORE_BYTES if on_cpu else SCORE_BYTES
        limit = max(16, budget // (4 * self.b * self.a * k.shape[1]))
        steps = -(-self.n // limit)
        self.block = -(-self.n // steps)  # evenly spread, so that little padding is computed

    def split(self, x: Array) -> Array:
        return einops.rearrange(x, "(B b) s (A a) e -> (B A) b a s e", b=self.b, a=self.a)

    def join(self, x: Array) -> Float[Array, "b s a e"]:
        batches = self.samples // self.b
        return einops.rearrange(x, "(B A) b a s e -> (B b) s (A a) e", B=batches)

    def split_queries(self, x: Float[Array, "b n a e"]) -> Array:
        return self.split(jnp.pad(x, ((0, 0), (0, -self.n % self.block), (0, 0), (0, 0))))

    def blocks(self, x: Array) -> Array:
        return einops.rearrange(x, "b a (k n) e -> k b a n e", n=self.block)

    def join_queries(self, x: Array) -> Float[Array, "b n a e"]:
        """From the blocks of every group."""
        return self.join(einops.rearrange(x, "g k b a n e -> g b a (k n) e"))[:, : self.n]

    def valid(self, k: Float[Array, "b s a e"], key_lengths: Int[Array, "b"] | None) -> Array:
        """Keys that each sample and head of a group sees."""
        b, s, a = k.shape[:3]
        lengths = jnp.full((b,), s) if key_lengths is None else key_lengths
        lengths = jnp.broadcast_to(lengths[:, None, None, None], (b, 1, a, 1))
        return self.split(lengths)[..., 0, 0]


def _scores(q: Array, k: Array, valid: Int[Array, "b a"]) -> Float[Array, "b a n s"]:
    score = jnp.einsum("bane,base->bans", q, k, preferred_element_type=jnp.float32)
    seen = jnp.arange(k.shape[2])[None, None, None] < valid[:, :, None, None]
    return jnp.where(seen, score * (q.shape[-1] ** -0.5), jnp.float32(UNSEEN))


def _forward_block(
    q: Float[Array, "b a n e"],
    k: Float[Array, "b a s e"],
    v: Float[Array, "b a s e"],
    valid: Int[Array, "b a"],
) -> tuple[Float[Array, "b a n e"], Float[Array, "b a n"]]:
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
    prob = jnp.exp(_scores(q, k, valid) - lse)
    d_v = jnp.einsum(
        "bans,bane->base", prob.astype(d_out.dtype), d_out, preferred_element_type=jnp.float32
    )
    d_prob = jnp.einsum("bane,base->bans", d_out, v, preferred_element_type=jnp.float32)
    d_score = (prob * (d_prob - delta) * (q.shape[-1] ** -0.5)).astype(q.dtype)
    d_q = jnp.einsum("bans,base->bane", d_score, k, preferred_element_type=jnp.float32)
    d_k = jnp.einsum("bans,bane->base", d_score, q, preferred_element_type=jnp.float32)
    return d_q, d_k, d_v
