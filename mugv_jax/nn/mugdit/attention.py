# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Self-attention over video tokens and cross-attention to text; both normalise queries and keys."""

import functools

import flax.linen as nn
from jax.typing import DTypeLike

from mugv_jax.axes import Array, Float, Int
from mugv_jax.kernels.attention import Attend
from mugv_jax.kernels.modulate import Modulation
from mugv_jax.nn.layers import Linear, RMSNorm
from mugv_jax.nn.mugdit.text import TextKeys

TOKENS = ("batch", "tokens", "heads", "head_dim")


class SelfAttention(nn.Module):
    """Self-attention; positions enter by rotating queries and keys (3D RoPE).

    Returns the result before the last bias, and that bias.
    """

    num_heads: int
    dtype: DTypeLike
    attend: Attend
    modulate: Modulation

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "b n d"],
        cos: Float[Array, "b n k"],
        sin: Float[Array, "b n k"],
        key_lengths: Int[Array, "b"] | None,
    ) -> tuple[Float[Array, "b n d"], Float[Array, "d"]]:
        width = x.shape[-1]
        linear = functools.partial(Linear, dtype=self.dtype)
        heads = (self.num_heads, width // self.num_heads)
        qkv = linear((3, *heads), axes=("embed", "qkv", "heads", "head_dim"), name="qkv")(x)
        q, k, v = (
            nn.with_logical_constraint(part, TOKENS)
            for part in (qkv[:, :, 0], qkv[:, :, 1], qkv[:, :, 2])
        )
        q_norm, k_norm = (
            RMSNorm(self.dtype, axis_name="head_dim", name=name) for name in ("q_norm", "k_norm")
        )
        q = self.modulate.norm_rotate(q, q_norm.scale(heads[1]), cos, sin)
        k = self.modulate.norm_rotate(k, k_norm.scale(heads[1]), cos, sin)
        out = nn.with_logical_constraint(self.attend(q, k, v, key_lengths), TOKENS)
        out_linear = linear(width, axes=("heads", "head_dim", "embed"), contract=2, name="out")
        out, bias = out_linear.without_bias(out)
        assert bias is not None
        return out, bias


class CrossAttention(nn.Module):
    """Attention of video tokens over the first `text_lengths` text tokens; no positions.

    `text` may be given as precomputed keys and values.
    Returns the result before the last bias, and that bias.
    """

    num_heads: int
    dtype: DTypeLike
    attend: Attend

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "b n d"],
        text: Float[Array, "b s d"] | tuple[Float[Array, "b s a e"], Float[Array, "b s a e"]],
        text_lengths: Int[Array, "b"],
    ) -> tuple[Float[Array, "b n d"], Float[Array, "d"]]:
        width = x.shape[-1]
        linear = functools.partial(Linear, dtype=self.dtype)
        heads = (self.num_heads, width // self.num_heads)
        q = linear(heads, axes=("embed", "heads", "head_dim"), name="q")(x)
        q_norm = RMSNorm(self.dtype, axis_name="head_dim", name="q_norm")
        q = nn.with_logical_constraint(q_norm(q), TOKENS)
        if isinstance(text, tuple):
            k, v = text
        else:
            keys = TextKeys(self.num_heads, self.dtype)
            nn.share_scope(self, keys)
            k, v = keys(text)
        out = nn.with_logical_constraint(self.attend(q, k, v, text_lengths), TOKENS)
        out_linear = linear(width, axes=("heads", "head_dim", "embed"), contract=2, name="out")
        out, bias = out_linear.without_bias(out)
        assert bias is not None
        return out, bias
