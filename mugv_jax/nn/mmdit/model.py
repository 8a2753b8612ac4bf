# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""ContentV's diffusion transformer: the MM-DiT of Stable Diffusion 3.5 (arXiv:2403.03206) on video.

Tokens: one per (1, 2, 2) patch of the latent, plus a sinusoidal embedding of its position. Video
and text have separate weights and meet in attention over both. Time and the pooled text enter
through shift, scale and gate.
"""

import dataclasses
import functools
from typing import ClassVar

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from mugv_jax.axes import Array, Float, Latent, TextStates
from mugv_jax.bounds import require_at_least
from mugv_jax.kernels.modulate import Modulation
from mugv_jax.nn.dit.embed import ScalarEmbed
from mugv_jax.nn.dit.patch import patchify, unpatchify
from mugv_jax.nn.dit.remat import rematerialised
from mugv_jax.nn.layers import Linear
from mugv_jax.nn.mmdit.block import (
    JointAttend,
    JointBlock,
    attend_jointly,
    modulation_vectors,
    one_group,
)
from mugv_jax.nn.mugdit.block import RESIDUAL
from mugv_jax.nn.mugdit.model import pad_tokens
from mugv_jax.nn.stream import streamed

# Rows and columns are divided by it: neighbouring patches are at a distance of 2.
SPATIAL_SCALE = 0.5


@dataclasses.dataclass(frozen=True, kw_only=True)
class MMDiTConfig:
    """Sizes of the published class `SD3Transformer3DModel`; the defaults are ContentV 8B's.

    text_dim: width of the text encoders' states.  pooled_dim: width of their summaries.

    Raises:
        ValueError: sizes that the architecture cannot hold.
    """

    depth: int = 38
    num_heads: int = 38
    head_dim: int = 64
    in_channels: int = 16
    out_channels: int = 16
    patch: tuple[int, int, int] = (1, 2, 2)
    text_dim: int = 4096
    pooled_dim: int = 2048

    def __post_init__(self):
        object.__setattr__(self, "patch", tuple(self.patch))
        counts = ("num_heads", "head_dim", "in_channels", "out_channels", "text_dim", "pooled_dim")
        require_at_least(1, self, *counts)
        require_at_least(2, self, "depth")  # the last block differs from the others
        if self.width % 16:
            raise ValueError(
                f"num_heads={self.num_heads} x head_dim={self.head_dim} must divide by 16: a "
                "quarter of the width encodes the frame, three eighths each column and row."
            )
        if len(self.patch) != 3 or min(self.patch) < 1 or self.patch[0] != 1:
            raise ValueError(f"patch={self.patch} must be (1, h, w) with h, w >= 1.")

    @property
    def width(self) -> int:
        return self.num_heads * self.head_dim


class PooledEmbed(nn.Module):
    """Linear - SiLU - Linear of the pooled text, in float32."""

    width: int

    @nn.compact
    def __call__(self, pooled: Float[Array, "b c"]) -> Float[Array, "b d"]:
        linear = functools.partial(Linear, self.width, dtype=jnp.float32)
        x = linear(axes=(None, "embed"), name="up")(pooled.astype(jnp.float32))
        return linear(axes=("embed", None), name="down")(nn.silu(x))


class Final(nn.Module):
    """Final layer: LN, scale and shift, Linear to the patches' channels."""

    config: MMDiTConfig
    dtype: DTypeLike
    modulate: Modulation

    @nn.compact
    def __call__(
        self, x: Float[Array, "b n d"], embed: Float[Array, "b d"]
    ) -> Float[Array, "b n p"]:
        axes = ("embed", "modulation", None)
        linear = Linear((2, self.config.width), axes, jnp.float32, name="modulation")
        scale, shift = modulation_vectors(linear, embed)
        x = self.modulate.norm_modulate(x, shift, scale, one_group(x))
        features = int(np.prod(self.config.patch)) * self.config.out_channels
        return Linear(features, axes=("embed", None), dtype=self.dtype, name="linear")(x)


def place_embed(frames: int, rows: int, columns: int, width: int) -> Float[Array, "n d"]:
    """Sinusoidal embedding [frame, column, row] of every token's position.

    The frame has a quarter of the width, column and row have three eighths each. A part of d
    channels is [sin, cos] of position x 10000^(-2i/d).
    """
    parts = []
    for axis, (count, scale, share) in enumerate(
        ((frames, 1.0, width // 4), (columns, SPATIAL_SCALE, 3 * width // 8),
         (rows, SPATIAL_SCALE, 3 * width // 8))
    ):  # fmt: skip
        frequency = 10000.0 ** (-np.arange(share // 2) / (share // 2))
        angle = np.arange(count)[:, None] / scale * frequency
        table = np.concatenate([np.sin(angle), np.cos(angle)], axis=1).astype(np.float32)
        shape = {0: (frames, 1, 1), 1: (1, 1, columns), 2: (1, rows, 1)}[axis]
        grid = (frames, rows, columns, share)
        parts.append(jnp.broadcast_to(jnp.asarray(table).reshape(*shape, share), grid))
    return jnp.concatenate(parts, axis=-1).reshape(-1, width)


class MMDiT(nn.Module):
    """Velocity noise - x_0 of noisy latents; fields as in `MugDiT`, except:

    attend: joint attention over video and text, such as `attend_jointly`.
    token_multiple: video and text tokens are each padded to a multiple of it.
    """

    config: MMDiTConfig
    dtype: DTypeLike = jnp.float32
    attend: JointAttend = attend_jointly
    modulate: Modulation = Modulation()
    token_multiple: int = 1
    remat: str = "none"
    joint_attention: ClassVar[bool] = True  # `attend` is over video and text together

    @nn.compact
    def __call__(
        self,
        x: Latent,
        t: Float[Array, "b"],
        text: TextStates,
        pooled: Float[Array, "b p"],
    ) -> Latent:
        """Velocity at `x`.

        t: time in [0, 1000].
        text: states of all text encoders, one after the other; none is masked.
        pooled: the encoders' projected summaries, concatenated.
        """
        config, (frames, height, width) = self.config, x.shape[1:4]
        shape = frames, height, width
        patches = patchify(x.astype(self.dtype), config.patch)
        linear = functools.partial(Linear, config.width, axes=(None, "embed"), dtype=self.dtype)
        f, h, w = (-(-size // step) for size, step in zip(shape, config.patch, strict=True))
        places = place_embed(f, h, w, config.width)
        tokens = linear(name="patch_embed")(patches) + places[None].astype(self.dtype)
        text = linear(name="text_embed")(text.astype(self.dtype))
        embed = ScalarEmbed(config.width, name="time_embed")(t)
        embed = embed + PooledEmbed(config.width, name="pooled_embed")(pooled)
        # Split like the weights that it meets in every block, see `modulation_vectors`.
        embed = nn.with_logical_constraint(nn.silu(embed), (None, "embed"))

        lengths = tokens.shape[1], text.shape[1]
        state = tuple(
            nn.with_logical_constraint(pad_tokens(x, self.token_multiple), RESIDUAL)
            for x in (tokens, text)
        )
        fields = (config, self.dtype, self.attend, self.modulate, lengths)
        blocks = nn.scan(
            rematerialised(streamed(JointBlock, self), self.remat),
            variable_axes={"params": 0, "lora": 0, "intermediates": 0},
            split_rngs={"params": True},
            in_axes=nn.broadcast,  # pyright: ignore[reportArgumentType] - unannotated in Flax
            length=config.depth - 1,
            metadata_params={nn.PARTITION_NAME: "layers"},
        )(*fields, name="blocks")
        state, _ = blocks(state, embed)
        (tokens, _), _ = JointBlock(*fields, last=True, name="last_block")(state, embed)
        out = Final(config, self.dtype, self.modulate, name="final")(tokens, embed)
        # Gathered here: XLA would do so before the last layer, where tokens are far wider.
        out = nn.with_logical_constraint(out, ("batch", None, None))
        return unpatchify(out[:, : lengths[0]], shape, config.patch)
