# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Input of the first block's attention: a cheap indicator of how much the velocity has changed.

    u = LN(patches of x_t) (1 + scale(t)) + shift(t)

It costs a thousandth of a block, and contains all that changes between two steps: latent and time.
The text enters later, so u is the same with and without a prompt.
"""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike

from mugv_jax.axes import Array, Float
from mugv_jax.kernels.modulate_xla import norm_modulate
from mugv_jax.nn.dit.embed import FrameEmbed
from mugv_jax.nn.dit.patch import patchify
from mugv_jax.nn.layers import Linear, partitioned
from mugv_jax.nn.mugdit.sizes import DiTConfig

# Enough tokens for the mean of a change.
MAX_TOKENS = 4096


class FirstInput(nn.Module):
    """u at evenly spread tokens, 0 in given frames. Reads MugDiT's variables, under their names."""

    config: DiTConfig
    dtype: DTypeLike

    @nn.compact
    def __call__(
        self, x: Float[Array, "b f h w c"], t: Float[Array, "b f"], fps: Float[Array, "b"]
    ) -> Float[Array, "b n d"]:
        """u for latents `x` and times `t` in [0, 1000]; a frame with t = 0 is a given one."""
        config, frames = self.config, x.shape[1]
        patches = patchify(x.astype(self.dtype), config.patch)
        frame = jnp.arange(patches.shape[1]) * frames // patches.shape[1]
        stride = -(-patches.shape[1] // MAX_TOKENS)
        patches, frame = patches[:, ::stride], frame[::stride]

        frame_embed = FrameEmbed(config.width)
        nn.share_scope(self, frame_embed)
        vectors_bg6d = frame_embed(t, fps)[1]
        vectors_bg6d = vectors_bg6d + _FirstTable(config, name="blocks")()[None, None]
        shift, scale = vectors_bg6d[:, :, 0], vectors_bg6d[:, :, 1]
        embed = Linear(config.width, axes=(None, "embed"), dtype=self.dtype, name="patch_embed")
        tokens = embed(patches).astype(jnp.float32)
        u = norm_modulate(tokens, shift, scale, frame + 1)  # group 0 is the start token's
        return jnp.where((t > 0)[:, frame, None], u, 0)


class _FirstTable(nn.Module):
    """Vectors that block 0 adds to the modulation."""

    config: DiTConfig

    @nn.compact
    def __call__(self) -> Float[Array, "6 d"]:
        init = partitioned(nn.initializers.normal(), "layers", "modulation", "embed")
        shape = (self.config.depth, 6, self.config.width)
        return self.param("scale_shift_table", init, shape)[0].astype(jnp.float32)
