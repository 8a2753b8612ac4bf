# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Attention on NVIDIA Hopper GPUs (H100, H200), forward and backward, by Pallas' Mosaic backend.

`forward` and `backward` mean the same as in `flash.py`. The tensor cores take a head in steps of 16
components, so a head of 72 occupies 80. The padding carries the statistics of the softmax:

    q' = [log2(e)/sqrt(e) q | -lse' | 1 | 0]        lse' = lse log2(e), as a sum of three bfloat16
    k' = [k                 |  1 1 1 | m | 0]       m = -32768 for a masked key, else 0
    v' = [v                 |  1 1 1 | 0 | 0]
    d' = [d_out             | -delta | 0 | 0]       delta = sum(d_out out), in three parts too

so exp2(q' k'^T) are the probabilities and d' v'^T is d_out v^T - delta, with nothing to add or mask
between the products. In the forward pass lse' is 0, and column e of exp2(q' k'^T) v' is the sum of
the weights. No running maximum is needed: |score| <= max|q| max|k| / sqrt(e), which for normalised
queries and keys is far inside the range of float32 and bfloat16. If it is not, cuDNN computes the
output, or `flash.py` where a derivative is taken: that needs `lse`, and takes several times longer.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp

from mugv_jax.axes import Array, Bool, Float, Int
from mugv_jax.kernels import cudnn, flash, hopper_tiles, select
from mugv_jax.kernels.hopper_tiles import BACKWARD_KEYS, BACKWARD_QUERIES, FORWARD

LOG2_E = math.log2(math.e)
PARTS = 3  # bfloat16 numbers whose sum is as precise as float32
COLUMNS = PARTS + 1  # columns of the padding that are in use
STEP = 16  # components of a head that the tensor cores take at a time
HIDDEN = -32768.0  # score of a masked key: bfloat16 holds this power of two, and exp2 of it is 0
# Up to this magnitude of scores, to base 2, sums over 2^24 keys are finite and normal in float32.
LARGEST_SCORE = 100.0


def forward(
    q: Float[Array, "b n a e"],
    k: Float[Array, "b s a e"],
    v: Float[Array, "b s a e"],
    key_lengths: Int[Array, "b"] | None,
) -> tuple[Float[Array, "b n a e"], Float[Array, "b n a"]]:
    """`out` in the dtype of q, and float32 `lse`.

    Raises:
        ValueError: arrays that are not bfloat16.
    """
    return jax.lax.cond(_bounded(q, k, v), forward_unshifted, flash.forward, q, k, v, key_lengths)


def output(
    q: Float[Array, "b n a e"],
    k: Float[Array, "b s a e"],
    v: Float[Array, "b s a e"],
    key_lengths: Int[Array, "b"] | None,
) -> Float[Array, "b n a e"]:
    """`out` of `forward`. Every sample must have a key.

    Raises:
        ValueError: arrays that are not bfloat16.
    """

    def unshifted(*arguments: Any) -> Array:
        return forward_unshifted(*arguments)[0]

    def shifted(*arguments: Any) -> Array:
        if select.platform() == "gpu":
            return cudnn.attend(*arguments)
        return flash.forward(*arguments)[0]

    return jax.lax.cond(_bounded(q, k, v), unshifted, shifted, q, k, v, key_lengths)


def _bounded(q: Array, k: Array, v: Array) -> Bool[Array, ""]:
    """Whether no score can exceed LARGEST_SCORE."""
    for name, x in (("q", q), ("k", k), ("v", v)):
        if x.dtype != jnp.bfloat16:
            raise ValueError(
                f"attention='hopper' takes bfloat16, but {name} is {x.dtype}: choose 'xla' for it."
            )
    norm_q, norm_k = (
        jnp.sqrt(jnp.max(jnp.sum(jnp.square(x.astype(jnp.float32)), -1))) for x in (q, k)
    )
    return norm_q * norm_k * jnp.float32(LOG2_E * q.shape[-1] ** -0.5) <= LARGEST_SCORE


def forward_unshifted(
    q: Float[Array, "b n a e"],
    k: Float[Array, "b s a e"],
    v: Float[Array, "b s a e"],
    key_lengths: Int[Array, "b"] | None,
) -> tuple[Float[Array, "b n a e"], Float[Array, "b n a"]]:
    """`forward` for scores that do not exceed LARGEST_SCORE: nothing is subtracted from them."""
    n, e = q.shape[1], q.shape[-1]
    tiles = FORWARD
    queries = _up(n, tiles.stationary)
    operands = (
        _queries(q, queries, None),
        *_keys_values(k, v, key_lengths, _up(k.shape[1], tiles.streamed)),
    )
    out, lse = hopper_tiles.forward(*operands, sum_column=e, tiles=tiles)
    return out[:, :n, :, :e], jnp.swapaxes(lse, 1, 2)[:, :n]


def backward(
    q: Float[Array, "b n a e"],
    k: Float[Array, "b s a e"],
    v: Float[Array, "b s a e"],
    key_lengths: Int[Array, "b"] | None,
    out: Float[Array, "b n a e"],
    lse: Float[Array, "b n a"],
    d_out: Float[Array, "b n a e"],
) -> tuple[Float[Array, "b n a e"], Float[Array, "b s a e"], Float[Array, "b s a e"]]:
    """Float32 derivatives by q, k and v, after the kernels rounded them to the dtype of q."""
    n, s, e = q.shape[1], k.shape[1], q.shape[-1]
    queries = _up(n, math.lcm(BACKWARD_QUERIES.stationary, BACKWARD_KEYS.streamed))
    keys = _up(s, math.lcm(BACKWARD_KEYS.stationary, BACKWARD_QUERIES.streamed))
    delta = jnp.sum(d_out.astype(jnp.float32) * out.astype(jnp.float32), axis=-1)
    q_wide = _queries(q, queries, lse)
    k_wide, v_wide = _keys_values(k, v, key_lengths, keys)
    d_wide = _widened(d_out.astype(q.dtype), queries, _parts(-delta, queries))
    d_q = hopper_tiles.backward_queries(q_wide, d_wide, k_wide, v_wide, BACKWARD_QUERIES)
    d_k, d_v = hopper_tiles.backward_keys(k_wide, v_wide, q_wide, d_wide, BACKWARD_KEYS)
    # The kernels multiply d_score by log2(e)/sqrt(e) q for d_k, and by k for d_q.
    d_q = d_q[:, :n, :, :e].astype(jnp.float32) * jnp.float32(e**-0.5)
    d_k = d_k[:, :s, :, :e].astype(jnp.float32) * jnp.float32(1 / LOG2_E)
    return d_q, d_k, d_v[:, :s, :, :e].astype(jnp.float32)


def _queries(
    q: Float[Array, "b n a e"], tokens: int, lse: Float[Array, "b n a"] | None
) -> Float[Array, "b m a w"]:
    """q' of the module's docstring, for `tokens` tokens; lse' is 0 where `lse` is None."""
    scaled = (q.astype(jnp.float32) * jnp.float32(LOG2_E * q.shape[-1] ** -0.5)).astype(q.dtype)
    one = jnp.ones((1, 1, 1), jnp.float32)
    parts = [0 * one] * PARTS
    if lse is not None:  # UNSEEN of a row without keys would overflow
        lse = jnp.where(lse > flash.UNSEEN / 2, lse, jnp.float32(0))
        parts = _parts(lse * jnp.float32(-LOG2_E), tokens)
    return _widened(scaled, tokens, [*parts, one])


def _keys_values(
    k: Float[Array, "b s a e"],
    v: Float[Array, "b s a e"],
    key_lengths: Int[Array, "b"] | None,
    tokens: int,
) -> tuple[Float[Array, "b m a w"], Float[Array, "b m a w"]]:
    """k' and v' of the module's docstring, for `tokens` tokens."""
    b, s = k.shape[:2]
    lengths = jnp.full((b,), s) if key_lengths is None else key_lengths
    seen = (jnp.arange(tokens)[None] < lengths[:, None])[..., None]
    if key_lengths is not None:  # masked keys may hold anything, and 0 x NaN is NaN
        k, v = (jnp.where(seen[:, :s, :, None], x, jnp.zeros((), x.dtype)) for x in (k, v))
    ones = [jnp.ones((1, 1, 1), jnp.float32)] * PARTS
    mask = jnp.where(seen, jnp.float32(0), jnp.float32(HIDDEN))
    return _widened(k, tokens, [*ones, mask]), _widened(v, tokens, ones)


def _parts(x: Float[Array, "b n a"], tokens: int) -> list[Float[Array, "b m a"]]:
    """PARTS numbers that bfloat16 holds exactly and whose sum is x; zero in the padding."""
    rest = jnp.pad(x, ((0, 0), (0, tokens - x.shape[1]), (0, 0)))
    parts = []
    for _ in range(PARTS):
        # A cast to bfloat16 and back would be optimised away by XLA.
        part = jax.lax.reduce_precision(rest, exponent_bits=8, mantissa_bits=7)
        parts.append(part)
        rest = rest - part
    return parts


def _widened(
    x: Float[Array, "b n a e"], tokens: int, columns: list[Array]
) -> Float[Array, "b m a w"]:
    """`x` padded with zeros to `tokens` tokens and whole steps of components.

    columns: values of the first components of the padding.
    """
    e = x.shape[-1]
    width = _up(e + COLUMNS, STEP)
    x = jnp.pad(x, ((0, 0), (0, tokens - x.shape[1]), (0, 0), (0, width - e)))
    at = jnp.arange(width)[None, None, None]
    for number, column in enumerate(columns, start=e):
        x = jnp.where(at == number, column[..., None].astype(x.dtype), x)
    return x


def _up(count: int, multiple: int) -> int:
    """`count` rounded up to a multiple."""
    return -(-count // multiple) * multiple
