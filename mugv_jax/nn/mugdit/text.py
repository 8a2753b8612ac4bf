# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""MUGDiT's processing of the text. It does not depend on time, so a sampler computes it once.

The modules have the same names here as within the model, so that they read the model's variables.
"""

import functools
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from mugv_jax.axes import Array, Bool, Float, Int
from mugv_jax.nn.dit.embed import TextEmbed
from mugv_jax.nn.layers import Linear, RMSNorm
from mugv_jax.nn.mugdit.sizes import DiTConfig
from mugv_jax.nn.stream import streamed


class KeysValues(NamedTuple):
    """Keys (normalised) and values of a text in the cross-attention of all l blocks."""

    keys: Float[Array, "b l s a e"]
    values: Float[Array, "b l s a e"]
    lengths: Int[Array, "b"]

    def of_block(
        self, number: Int[Array, ""]
    ) -> tuple[Float[Array, "b s a e"], Float[Array, "b s a e"]]:
        """Keys and values in block `number`."""
        return tuple(
            jax.lax.dynamic_index_in_dim(array, number, axis=1, keepdims=False)
            for array in (self.keys, self.values)
        )


class TextKeys(nn.Module):
    """Keys (normalised) and values of one block's cross-attention."""

    num_heads: int
    dtype: DTypeLike

    @nn.compact
    def __call__(
        self, text: Float[Array, "b s d"]
    ) -> tuple[Float[Array, "b s a e"], Float[Array, "b s a e"]]:
        heads = (self.num_heads, text.shape[-1] // self.num_heads)
        axes = ("embed", "qkv", "heads", "head_dim")
        kv = Linear((2, *heads), axes=axes, dtype=self.dtype, name="kv")(text)
        k = RMSNorm(dtype=self.dtype, axis_name="head_dim", name="k_norm")(kv[:, :, 0])
        return k, kv[:, :, 1]


class TextReader(nn.Module):
    """The part of MugDiT that reads text; its result replaces the text in calls of the model."""

    config: DiTConfig
    dtype: DTypeLike

    @nn.compact
    def __call__(self, text: Float[Array, "b s l"], text_mask: Bool[Array, "b s"]) -> KeysValues:
        """Keys and values from states of the text encoder; `text_mask` marks the valid ones."""
        config = self.config
        text, lengths = valid_first(text, text_mask)
        text = TextEmbed(config.width, self.dtype, name="text_embed")(text)
        every_block = nn.scan(
            streamed(_BlockKeys, self),
            variable_axes={"params": 0, "lora": 0},
            split_rngs={"params": True},
            in_axes=nn.broadcast,  # pyright: ignore[reportArgumentType] - unannotated in Flax
            out_axes=1,
            length=config.depth,
            metadata_params={nn.PARTITION_NAME: "layers"},
        )
        _, (keys, values) = every_block(config.num_heads, self.dtype, name="blocks")(None, text)
        split = functools.partial(
            nn.with_logical_constraint,
            logical_axis_resources=("batch", None, None, "heads", "head_dim"),
        )
        return KeysValues(keys=split(keys), values=split(values), lengths=lengths)


class _BlockKeys(nn.Module):
    """The part of a block that depends on the text alone."""

    num_heads: int
    dtype: DTypeLike

    @nn.compact
    def __call__(
        self, _: None, text: Float[Array, "b s d"]
    ) -> tuple[None, tuple[Float[Array, "b s a e"], Float[Array, "b s a e"]]]:
        return None, TextKeys(self.num_heads, self.dtype, name="cross_attention")(text)


def valid_first(
    text: Float[Array, "b s l"], mask: Bool[Array, "b s"]
) -> tuple[Float[Array, "b s l"], Int[Array, "b"]]:
    """Text with its valid tokens moved to the front, and their number.

    Cross-attention has no positions, so any mask can become a length.
    """
    order = jnp.argsort(~mask, axis=1, stable=True)
    return jnp.take_along_axis(text, order[..., None], axis=1), jnp.sum(mask, axis=1)
