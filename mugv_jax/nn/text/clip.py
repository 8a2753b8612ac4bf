# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""CLIP's text encoder (arXiv:2103.00020), with its projection to the space shared with pictures.

    x += out(softmax(q k / sqrt(e)) v),   x += down(act(up)),   each on LayerNorm(x)

Attention is causal: a token sees itself and those before it. The state at the first end-of-text
token summarises the text. Matrix products are in `dtype`, everything else is float32. The image
encoder (`nn/vision/clip.py`) has the same blocks, without the mask.
"""

import dataclasses
import functools
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from mugv_jax.axes import Array, Float, Int, TextStates
from mugv_jax.bounds import require_at_least
from mugv_jax.nn.layers import LayerNormAffine, Linear, match_rank, partitioned

EPSILON = 1e-5
ACTIVATIONS = {
    "gelu": functools.partial(jax.nn.gelu, approximate=False),
    "quick_gelu": lambda x: x * jax.nn.sigmoid(1.702 * x),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClipConfig:
    """Sizes that both encoders of a CLIP have.

    features: width of the projected summary.

    Raises:
        ValueError: sizes that the architecture cannot hold.
    """

    width: int
    mlp_dim: int
    depth: int
    num_heads: int
    features: int
    activation: str = "quick_gelu"

    def __post_init__(self):
        require_at_least(1, self, "width", "mlp_dim", "depth", "num_heads", "features")
        if self.activation not in ACTIVATIONS:
            raise ValueError(
                f"activation={self.activation!r} must be one of {', '.join(ACTIVATIONS)}."
            )
        if self.width % self.num_heads:
            raise ValueError(f"width={self.width} must divide by num_heads={self.num_heads}.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClipTextConfig(ClipConfig):
    """Sizes of a CLIP text encoder.

    length: maximal number of tokens.  end: id of the end-of-text token.

    Raises:
        ValueError: sizes that the architecture cannot hold.
    """

    vocab_size: int
    length: int = 77
    end: int = 49407

    def __post_init__(self):
        require_at_least(1, self, "vocab_size", "length")
        super().__post_init__()
        if not 0 <= self.end < self.vocab_size:
            raise ValueError(f"end={self.end} must be in the vocabulary of {self.vocab_size}.")


class ClipText(NamedTuple):
    """Results of the encoder: the projected summary, and the input of the last block."""

    pooled: Float[Array, "b c"]
    penultimate: TextStates


class LayerNorm(nn.Module):
    """LayerNorm over the last axis, in float32 whatever the dtype of the weights."""

    @nn.compact
    def __call__(self, x: Float[Array, "... d"]) -> Float[Array, "... d"]:
        affine = LayerNormAffine(x.shape[-1])
        nn.share_scope(self, affine)
        shift, scale = (match_rank(each, x) for each in affine())
        x = x.astype(jnp.float32)
        x = x - jnp.mean(x, axis=-1, keepdims=True)
        x = x * jax.lax.rsqrt(jnp.mean(jnp.square(x), axis=-1, keepdims=True) + EPSILON)
        return x * (1 + scale) + shift


class Attention(nn.Module):
    """Self-attention; where `causal`, a token sees itself and those before it only."""

    num_heads: int
    dtype: DTypeLike
    causal: bool = True

    @nn.compact
    def __call__(self, x: Float[Array, "b s d"]) -> Float[Array, "b s d"]:
        width = x.shape[-1]
        head_dim = width // self.num_heads
        to_heads = functools.partial(
            Linear,
            (self.num_heads, head_dim),
            axes=("embed", "heads", "head_dim"),
            dtype=self.dtype,
        )
        q, k, v = (to_heads(name=name)(x) for name in ("q", "k", "v"))
        score = jnp.einsum("bsae,bkae->bask", q, k).astype(jnp.float32) * head_dim**-0.5
        if self.causal:
            seen = jnp.tril(jnp.ones((x.shape[1], x.shape[1]), bool))
            score = jnp.where(seen, score, jnp.finfo(jnp.float32).min)
        prob = jax.nn.softmax(score, axis=-1)
        y = jnp.einsum("bask,bkae->bsae", prob.astype(self.dtype), v)
        axes = ("heads", "head_dim", "embed")
        return Linear(width, axes=axes, contract=2, dtype=self.dtype, name="out")(y)


class Block(nn.Module):
    """One layer; also returns its input."""

    config: ClipConfig
    dtype: DTypeLike
    causal: bool = True

    @nn.compact
    def __call__(
        self, x: Float[Array, "b s d"], _: None
    ) -> tuple[Float[Array, "b s d"], Float[Array, "b s d"]]:
        config, before = self.config, x
        linear = functools.partial(Linear, dtype=self.dtype)
        attention = Attention(config.num_heads, self.dtype, self.causal, name="attention")
        x = x + attention(LayerNorm(name="attention_norm")(x)).astype(jnp.float32)
        y = linear(config.mlp_dim, axes=("embed", "mlp"), name="up")(LayerNorm(name="mlp_norm")(x))
        y = ACTIVATIONS[config.activation](y.astype(jnp.float32))
        x = x + linear(config.width, axes=("mlp", "embed"), name="down")(y).astype(jnp.float32)
        return x, before


class ClipTextEncoder(nn.Module):
    """Token ids to `ClipText` (published `CLIPTextModelWithProjection`).

    Ids begin with the start token and are padded after the end token; the padding changes only the
    states after the end token. States after the final norm are sown as "states".
    """

    config: ClipTextConfig
    dtype: DTypeLike

    @nn.compact
    def __call__(self, ids: Int[Array, "b s"]) -> ClipText:
        config = self.config
        tokens = self.param(
            "token_embed",
            partitioned(nn.initializers.normal(0.02), "vocab", "embed"),
            (config.vocab_size, config.width),
        )
        places = self.param(
            "position_embed",
            partitioned(nn.initializers.normal(0.01), None, "embed"),
            (config.length, config.width),
        )
        x = jnp.take(tokens, ids, axis=0, mode="fill").astype(jnp.float32)
        x = x + places[None, : ids.shape[1]].astype(jnp.float32)
        blocks = nn.scan(
            Block,
            variable_axes={"params": 0},
            split_rngs={"params": True},
            length=config.depth,
            metadata_params={nn.PARTITION_NAME: "layers"},
        )
        x, inputs = blocks(config, self.dtype, name="blocks")(x, None)
        x = LayerNorm(name="final_norm")(x)
        self.sow("intermediates", "states", x)
        end = jnp.argmax(ids == config.end, axis=1)  # the first one
        summary = jnp.take_along_axis(x, end[:, None, None], axis=1)[:, 0]
        project = Linear(
            config.features, axes=("embed", None), dtype=self.dtype, use_bias=False, name="project"
        )
        return ClipText(project(summary), inputs[-1])
