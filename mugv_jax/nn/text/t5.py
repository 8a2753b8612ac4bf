# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The text encoders T5 v1.1 (arXiv:1910.10683; v1.1: no biases, gated GELU) and UMT5.

    x += out(softmax(q k + bias) v),   x += down(gelu(gate) up),   each on RMSNorm(x)

Scores are not scaled: T5 trains with the factor folded into its weights. `bias` depends on the
distance of two tokens alone; T5's layers share it, UMT5's have one each (arXiv:2304.09151).

Numerics. `dtype` applies to the MLP's matrix products, two thirds of the work. The rest is float32:
the residual stream, because a few channels of T5-XXL grow beyond what float16 holds and lie orders
of magnitude above the others, so that a bfloat16 sum would round small updates away; attention,
because unscaled scores are large and their absolute error is the relative error of a probability.
Measured on the golden case, bfloat16 attention alone costs as much accuracy as bfloat16 weights.
"""

import dataclasses
import functools

import einops
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from mugv_jax.axes import Array, Float, Int, TextMask, TextStates
from mugv_jax.bounds import require_at_least
from mugv_jax.nn.layers import Linear, RMSNorm, partitioned


@dataclasses.dataclass(frozen=True, kw_only=True)
class T5Config:
    """Sizes of a T5 v1.1 encoder.

    `width`, `head_dim`, `mlp_dim`, `depth` are published as d_model, d_kv, d_ff, num_layers.
    `num_buckets` and `max_distance` belong to the relative position bias. `shared_bias`: all layers
    share one bias (T5), or have one each (UMT5).

    Raises:
        ValueError: sizes that the architecture cannot hold.
    """

    vocab_size: int
    width: int
    head_dim: int
    mlp_dim: int
    depth: int
    num_heads: int
    num_buckets: int = 32
    max_distance: int = 128
    shared_bias: bool = True

    def __post_init__(self):
        names = (field.name for field in dataclasses.fields(self))
        require_at_least(1, self, *(name for name in names if name != "shared_bias"))
        if self.num_buckets % 4 or self.max_distance <= self.num_buckets // 4:
            raise ValueError(
                f"num_buckets={self.num_buckets} must be a multiple of 4 and max_distance="
                f"{self.max_distance} above a quarter of it: each direction has half of the "
                "buckets, and half of those hold one distance each."
            )


def distance_buckets(length: int, num_buckets: int, max_distance: int) -> Int[np.ndarray, "s s"]:
    """Bucket of every (query, key) pair of positions, in [0, num_buckets).

    Keys behind the query use the lower half of the buckets, keys ahead the upper half. In each
    half the first half holds one distance per bucket; the rest is spaced logarithmically up to
    `max_distance`, and the last bucket takes all greater distances.
    """
    half = num_buckets // 2
    exact = half // 2
    position = np.arange(length, dtype=np.int32)
    ahead_ss = position[None, :] - position[:, None]
    distance_ss = np.abs(ahead_ss)
    # Float32 in this order of operations, as published: a last bit would move a bucket's edge.
    ratio_ss = np.maximum(distance_ss, exact).astype(np.float32) / np.float32(exact)
    octave_ss = np.log(ratio_ss) / np.float32(np.log(max_distance / exact))
    far_ss = exact + (octave_ss * np.float32(half - exact)).astype(np.int32)
    bucket_ss = np.where(distance_ss < exact, distance_ss, np.minimum(far_ss, half - 1))
    return (bucket_ss + half * (ahead_ss > 0)).astype(np.int32)


def attention_bias(module: nn.Module, config: T5Config, mask: TextMask) -> Float[Array, "b a s s"]:
    """Relative position bias, a parameter of `module`; the float32 minimum for padding keys."""
    relative_bias = module.param(
        "relative_bias",
        partitioned(nn.initializers.normal(config.width**-0.5), None, "heads"),
        (config.num_buckets, config.num_heads),
    ).astype(jnp.float32)
    bucket_ss = distance_buckets(mask.shape[1], config.num_buckets, config.max_distance)
    bias_1ask = einops.rearrange(relative_bias[bucket_ss], "s k a -> 1 a s k")
    # Finite, not -inf: a row that is all padding must not become NaN.
    return jnp.where(mask[:, None, None, :], bias_1ask, jnp.finfo(jnp.float32).min)


class Attention(nn.Module):
    """Self-attention over the text, in float32; no biases, no factor on the scores."""

    num_heads: int
    head_dim: int

    @nn.compact
    def __call__(
        self, x: Float[Array, "b s d"], bias: Float[Array, "b a s s"]
    ) -> Float[Array, "b s d"]:
        linear = functools.partial(Linear, dtype=jnp.float32, use_bias=False)
        to_heads = functools.partial(
            linear, (self.num_heads, self.head_dim), axes=("embed", "heads", "head_dim")
        )
        out = linear(x.shape[-1], axes=("heads", "head_dim", "embed"), contract=2, name="out")
        # Otherwise TPUs would round float32 operands to bfloat16, and GPUs to TF32.
        with jax.default_matmul_precision("float32"):
            q, k, v = (
                nn.with_logical_constraint(to_heads(name=name)(x), ("batch", None, "heads", None))
                for name in ("q", "k", "v")
            )
            prob_bask = jax.nn.softmax(jnp.einsum("bsae,bkae->bask", q, k) + bias, axis=-1)
            return out(jnp.einsum("bask,bkae->bsae", prob_bask, v))


class GatedMlp(nn.Module):
    """down(gelu(gate(x)) * up(x)), GELU in its tanh form, without biases."""

    hidden_dim: int
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: Float[Array, "b s d"]) -> Float[Array, "b s d"]:
        linear = functools.partial(Linear, dtype=self.dtype, use_bias=False)
        gate_bsm = linear(self.hidden_dim, axes=("embed", "mlp"), name="gate")(x)
        up_bsm = linear(self.hidden_dim, axes=("embed", "mlp"), name="up")(x)
        # Float32: GELU and product are rounded once, not thrice.
        y_bsm = nn.gelu(gate_bsm.astype(jnp.float32)) * up_bsm.astype(jnp.float32)
        y_bsm = nn.with_logical_constraint(y_bsm.astype(self.dtype), ("batch", None, "mlp"))
        return linear(x.shape[-1], axes=("mlp", "embed"), name="down")(y_bsm)


class Block(nn.Module):
    """One encoder layer on a float32 residual stream; has its own bias unless one is shared."""

    config: T5Config
    dtype: DTypeLike

    @nn.compact
    def __call__(
        self, x: Float[Array, "b s d"], mask: TextMask, shared: Float[Array, "b a s s"] | None
    ) -> tuple[Float[Array, "b s d"], None]:
        config = self.config
        bias = attention_bias(self, config, mask) if shared is None else shared
        attention = Attention(config.num_heads, config.head_dim, name="attention")
        mlp = GatedMlp(config.mlp_dim, self.dtype, name="mlp")
        x = x + attention(RMSNorm(jnp.float32, name="attention_norm")(x), bias)
        x = x + mlp(RMSNorm(self.dtype, name="mlp_norm")(x)).astype(jnp.float32)
        return nn.with_logical_constraint(x, ("batch", None, None)), None


class T5Encoder(nn.Module):
    """Token ids to text states (published class `T5EncoderModel`).

    States of padding tokens are meaningless; no other state depends on them.
    An id outside the vocabulary gives NaN states. The encoder is used frozen, so its blocks are
    not rematerialised.
    """

    config: T5Config
    dtype: DTypeLike

    @nn.compact
    def __call__(self, ids: Int[Array, "b s"], mask: TextMask) -> TextStates:
        config = self.config
        embedding = self.param(
            "token_embed",
            partitioned(nn.initializers.normal(1.0), "vocab", "embed"),
            (config.vocab_size, config.width),
        )
        x = jnp.take(embedding, ids, axis=0, mode="fill").astype(jnp.float32)
        x = nn.with_logical_constraint(x, ("batch", None, None))
        blocks = nn.scan(
            Block,
            variable_axes={"params": 0},
            split_rngs={"params": True},
            in_axes=nn.broadcast,  # pyright: ignore[reportArgumentType] - unannotated in Flax
            length=config.depth,
            metadata_params={nn.PARTITION_NAME: "layers"},
        )
        shared = attention_bias(self, config, mask) if config.shared_bias else None
        x, _ = blocks(config, self.dtype, name="blocks")(x, mask, shared)
        return RMSNorm(self.dtype, name="final_norm")(x)
