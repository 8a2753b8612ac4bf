# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Self-attention over video tokens and cross-attention to text; queries and keys normalised."""

import functools

import flax.linen as nn
from jax.typing import DTypeLike

from mugv_jax.axes import Array, Float, Int
from mugv_jax.kernels.attention import Attend
from mugv_jax.nn.layers import Linear, RMSNorm
from mugv_jax.nn.mugdit.rope import rotate

TOKENS = ("batch", "tokens", "heads", "head_dim")


class SelfAttention(nn.Module):
    """Every token to every token; positions enter by rotating queries and keys (3D RoPE)."""

    num_heads: int
    dtype: DTypeLike
    attend: Attend

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "b n d"],
        cos: Float[Array, "b n k"],
        sin: Float[Array, "b n k"],
        key_lengths: Int[Array, "b"] | None,
    ) -> Float[Array, "b n d"]:
        width = x.shape[-1]
        linear = functools.partial(Linear, dtype=self.dtype)
        norm = functools.partial(RMSNorm, dtype=self.dtype, axis_name="head_dim")
        heads = (self.num_heads, width // self.num_heads)
        qkv = linear((3, *heads), axes=("embed", "qkv", "heads", "head_dim"), name="qkv")(x)
        q, k, v = (
            nn.with_logical_constraint(part, TOKENS)
            for part in (qkv[:, :, 0], qkv[:, :, 1], qkv[:, :, 2])
        )
        q = rotate(norm(name="q_norm")(q), cos, sin)
        k = rotate(norm(name="k_norm")(k), cos, sin)
        out = nn.with_logical_constraint(self.attend(q, k, v, key_lengths), TOKENS)
        return linear(width, axes=("heads", "head_dim", "embed"), contract=2, name="out")(out)


class CrossAttention(nn.Module):
    """Every video token to the first `text_lengths` text tokens; no positions."""

    num_heads: int
    dtype: DTypeLike
    attend: Attend

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "b n d"],
        text: Float[Array, "b s d"],
        text_lengths: Int[Array, "b"],
    ) -> Float[Array, "b n d"]:
        width = x.shape[-1]
        linear = functools.partial(Linear, dtype=self.dtype)
        norm = functools.partial(RMSNorm, dtype=self.dtype, axis_name="head_dim")
        heads = (self.num_heads, width // self.num_heads)
        q = linear(heads, axes=("embed", "heads", "head_dim"), name="q")(x)
        kv = linear((2, *heads), axes=("embed", "qkv", "heads", "head_dim"), name="kv")(text)
        q = nn.with_logical_constraint(norm(name="q_norm")(q), TOKENS)
        k = norm(name="k_norm")(kv[:, :, 0])
        out = nn.with_logical_constraint(self.attend(q, k, kv[:, :, 1], text_lengths), TOKENS)
        return linear(width, axes=("heads", "head_dim", "embed"), contract=2, name="out")(out)
