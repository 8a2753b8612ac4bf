# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Embeddings of time, frame rate and text."""

import math

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike

from mugv_jax.axes import Array, Float
from mugv_jax.kernels.modulate_xla import normalize
from mugv_jax.nn.layers import Linear, Mlp

SINUSOID_DIM = 256


def sinusoid(value: Float[Array, "..."]) -> Float[Array, "... 256"]:
    """[cos, sin] of value x 10000^(-i/128), i < 128, in float32."""
    half = SINUSOID_DIM // 2
    frequency = jnp.exp(-math.log(10000.0) / half * jnp.arange(half, dtype=jnp.float32))
    angle = value.astype(jnp.float32)[..., None] * jnp.expand_dims(frequency, range(value.ndim))
    return jnp.concatenate([jnp.cos(angle), jnp.sin(angle)], axis=-1)


class ScalarEmbed(nn.Module):
    """Linear - SiLU - Linear of a scalar's sinusoid: time in [0, 1000], or frames per second.

    Float32 throughout: in bfloat16 neighbouring times above 256 would share one embedding.
    """

    width: int

    @nn.compact
    def __call__(self, value: Float[Array, "..."]) -> Float[Array, "... d"]:
        x = Linear(self.width, axes=(None, "embed"), dtype=jnp.float32, name="up")(sinusoid(value))
        return Linear(self.width, axes=("embed", None), dtype=jnp.float32, name="down")(nn.silu(x))


class FrameEmbed(nn.Module):
    """Embedding of every latent frame's time and of the video's frame rate, in float32."""

    width: int

    @nn.compact
    def __call__(
        self, t: Float[Array, "b f"], fps: Float[Array, "b"]
    ) -> tuple[Float[Array, "b g d"], Float[Array, "b g 6 d"]]:
        """Embedding of each token group, and its part of every block's six modulation vectors.

        The g = f + 2 groups are the start token, the frames and the end token; the start and end
        token have t = 0.
        """
        time = jnp.pad(t, ((0, 0), (1, 1)))
        embed = ScalarEmbed(self.width, name="time_embed")(time)
        embed = embed + ScalarEmbed(self.width, name="fps_embed")(fps)[:, None]
        # Otherwise the partitioner would shard this small array and gather it in every block.
        embed = nn.with_logical_constraint(embed, ("batch", None, None))
        six_vectors = Linear(
            (6, self.width),
            axes=("embed", "modulation", None),
            dtype=jnp.float32,  # computed once per forward pass, read by every block
            name="modulation",
        )
        return embed, six_vectors(nn.silu(embed))


class TextEmbed(nn.Module):
    """LN - Linear - GELU - Linear - LN (norms without affine), from the text encoder's width."""

    width: int
    dtype: DTypeLike

    @nn.compact
    def __call__(self, text: Float[Array, "b s c"]) -> Float[Array, "b s d"]:
        x = normalize(text, 1e-6).astype(self.dtype)
        x = Mlp(self.width, features=self.width, dtype=self.dtype, name="mlp")(x)
        return normalize(x, 1e-6).astype(self.dtype)
