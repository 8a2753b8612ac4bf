# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""One block of MM-DiT (arXiv:2403.03206): joint attention, separate weights for video and text.

    x += gate_a Attention(LN(x) (1 + scale_a) + shift_a)
    x += gate_m MLP(LN(x) (1 + scale_m) + shift_m)

Attention runs over the tokens of video and text as one sequence. Each is padded separately, so that
a mesh splits both like MUGDiT's tokens.
"""

import functools
from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike

from mugv_jax.axes import Array, Float
from mugv_jax.kernels.attention import Attend, attend
from mugv_jax.kernels.modulate import Modulation
from mugv_jax.nn.dit.sizes import StreamSizes
from mugv_jax.nn.layers import Linear, Mlp, RMSNorm
from mugv_jax.nn.mugdit.attention import TOKENS
from mugv_jax.nn.mugdit.block import GATHERED, RESIDUAL

MLP_RATIO = 4

VideoHeads = Float[Array, "b n a e"]
TextHeads = Float[Array, "b s a e"]
# ((q, k, v) of video, (q, k, v) of text, numbers of tokens) -> results for video and text.
JointAttend = Callable[..., tuple[VideoHeads, TextHeads]]
Vectors = tuple[Float[Array, "b 1 d"], ...]


def attend_jointly(
    video: tuple[VideoHeads, VideoHeads, VideoHeads],
    text: tuple[TextHeads, TextHeads, TextHeads],
    lengths: tuple[int, int],
    *,
    attend: Attend = attend,
) -> tuple[VideoHeads, TextHeads]:
    """Attention of every token of video and text over all tokens of both.

    video, text: queries, keys and values.
    lengths: tokens of video and of text before their padding, where results are meaningless.
    """
    q, k, v = (
        jnp.concatenate([x[:, :n] for x, n in zip(both, lengths, strict=True)], axis=1)
        for both in zip(video, text, strict=True)
    )
    y = attend(q, k, v)
    of_video, of_text = jnp.split(y, lengths[:1], axis=1)
    return _padded(of_video, video[0].shape[1]), _padded(of_text, text[0].shape[1])


def _padded(y: Float[Array, "b n a e"], tokens: int) -> Float[Array, "b m a e"]:
    return jnp.pad(y, ((0, 0), (0, tokens - y.shape[1]), (0, 0), (0, 0)))


class Stream(nn.Module):
    """The part of a block with video's or text's own weights.

    config: has the sizes `width`, `num_heads` and `head_dim`.
    pre_only: for the last block's text, which only attention reads: two modulation vectors instead
        of six, and no output (published `context_pre_only`).
    """

    config: StreamSizes
    dtype: DTypeLike
    modulate: Modulation
    pre_only: bool = False

    def setup(self):
        config, width = self.config, self.config.width
        heads = (config.num_heads, config.head_dim)
        axes = ("embed", "heads", "head_dim")
        self.modulation = Linear(
            (2 if self.pre_only else 6, width), ("embed", "modulation", None), jnp.float32
        )
        self.q, self.k, self.v = (Linear(heads, axes, self.dtype) for _ in "qkv")
        self.q_norm, self.k_norm = (RMSNorm(self.dtype, axis_name="head_dim") for _ in "qk")
        if not self.pre_only:
            self.out = Linear(width, ("heads", "head_dim", "embed"), self.dtype, contract=2)
            self.mlp = Mlp(MLP_RATIO * width, self.dtype)

    def before(
        self, x: Float[Array, "b n d"], embed: Float[Array, "b d"]
    ) -> tuple[tuple[VideoHeads, VideoHeads, VideoHeads], Vectors]:
        """Queries, keys and values, and the modulation vectors that `after` needs."""
        vectors = modulation_vectors(self.modulation, embed)
        if self.pre_only:
            vectors = vectors[::-1]  # published in the order scale, shift
        shift, scale, *others = vectors
        y = _gathered(self.modulate.norm_modulate(x, shift, scale, one_group(x)))
        q, k, v = self.q_norm(self.q(y)), self.k_norm(self.k(y)), self.v(y)
        q, k, v = (nn.with_logical_constraint(part, TOKENS) for part in (q, k, v))
        return (q, k, v), tuple(others)

    def after(
        self, x: Float[Array, "b n d"], y: VideoHeads, vectors: Vectors
    ) -> Float[Array, "b n d"]:
        """The residual after attention, whose result is `y`, and after the MLP."""
        gate_a, shift_m, scale_m, gate_m = vectors
        group = one_group(x)
        y, bias = self.out.without_bias(nn.with_logical_constraint(y, TOKENS))
        assert bias is not None
        y = nn.with_logical_constraint(y, RESIDUAL)
        x, y = self.modulate.gate_residual_norm_modulate(
            x, y, bias, gate_a, shift_m, scale_m, group
        )
        x = nn.with_logical_constraint(x, RESIDUAL)
        y, bias = self.mlp.without_bias(_gathered(y))
        y = nn.with_logical_constraint(y, RESIDUAL)
        x = self.modulate.gate_residual(x, y, bias, gate_m, group)
        return nn.with_logical_constraint(x, RESIDUAL)


def modulation_vectors(linear: Linear, embed: Float[Array, "b d"]) -> Vectors:
    """Modulation vectors, `linear` of `embed`, which all tokens of a sample share.

    `Linear` would gather weights that a mesh splits by width. Here they multiply one row per
    sample, which is smaller: it is split like the weights, and the partial products are summed.
    """
    with nn.logical_axis_rules(()):  # switches off the constraints in `Linear`
        vectors = linear(embed)
    vectors = nn.with_logical_constraint(vectors, ("batch", None, None))
    return tuple(jnp.split(vectors, vectors.shape[1], axis=1))


def one_group(x: Float[Array, "b n d"]) -> Array:
    """Group 0 for every token: all have the same modulation vectors."""
    return jnp.zeros(x.shape[1], jnp.int32)


def _gathered(y: Float[Array, "b n d"]) -> Float[Array, "b n d"]:
    """`y` gathered over the devices that split heads or hidden width; see MUGDiT's block."""
    return nn.with_logical_constraint(nn.with_logical_constraint(y, RESIDUAL), GATHERED)


class JointBlock(nn.Module):
    """`((video, text), embed) -> ((video, text), None)`: the form that `nn.scan` repeats.

    lengths: tokens of video and of text before their padding.
    """

    config: StreamSizes
    dtype: DTypeLike
    attend: JointAttend
    modulate: Modulation
    lengths: tuple[int, int]
    last: bool = False

    @nn.compact
    def __call__(
        self, state: tuple[Float[Array, "b n d"], Float[Array, "b s d"]], embed: Float[Array, "b d"]
    ) -> tuple[tuple[Float[Array, "b n d"], Float[Array, "b s d"]], None]:
        x, text = state
        stream = functools.partial(Stream, self.config, self.dtype, self.modulate)
        of_video, of_text = stream(name="video"), stream(pre_only=self.last, name="text")
        video_heads, video_vectors = of_video.before(x, embed)
        text_heads, text_vectors = of_text.before(text, embed)
        y_video, y_text = self.attend(video_heads, text_heads, self.lengths)
        x = of_video.after(x, y_video, video_vectors)
        if not self.last:
            text = of_text.after(text, y_text, text_vectors)
        return (x, text), None
