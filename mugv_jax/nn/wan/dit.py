# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Wan2.1's diffusion transformer for text-to-video (arXiv:2503.20314; published `WanModel`).

Its block is MUGDiT's, with queries and keys normalised over all heads together and cross-attention
to all of a zero-padded text.
"""

import dataclasses
from typing import ClassVar

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike

from mugv_jax.axes import Array, Float, Int, Latent, TextStates
from mugv_jax.bounds import require_at_least
from mugv_jax.kernels.attention import Attend, attend
from mugv_jax.kernels.modulate import Modulation
from mugv_jax.kernels.modulate_xla import rotate
from mugv_jax.nn.dit.embed import ScalarEmbed
from mugv_jax.nn.dit.patch import patchify, unpatchify
from mugv_jax.nn.dit.remat import rematerialised
from mugv_jax.nn.dit.rope import cos_sin
from mugv_jax.nn.layers import Linear, Mlp, RMSNorm
from mugv_jax.nn.mugdit.attention import TOKENS
from mugv_jax.nn.mugdit.block import RESIDUAL, Block, Context
from mugv_jax.nn.mugdit.model import Final, pad_tokens
from mugv_jax.nn.stream import streamed


@dataclasses.dataclass(frozen=True, kw_only=True)
class WanDiTConfig:
    """Sizes of the published class `WanModel`; the defaults are those of Wan2.1 1.3B.

    text_tokens: number of states to which texts are cut or filled up with zeros.

    Raises:
        ValueError: sizes that the architecture cannot hold.
    """

    depth: int = 30
    width: int = 1536
    mlp_dim: int = 8960
    num_heads: int = 12
    in_channels: int = 16
    out_channels: int = 16
    patch: tuple[int, int, int] = (1, 2, 2)
    text_dim: int = 4096
    text_tokens: int = 512

    def __post_init__(self):
        object.__setattr__(self, "patch", tuple(self.patch))
        counts = ("depth", "width", "mlp_dim", "num_heads", "in_channels", "out_channels")
        require_at_least(1, self, *counts, "text_dim", "text_tokens")
        if self.width % (2 * self.num_heads) or self.width // self.num_heads < 6:
            raise ValueError(
                f"width={self.width} / num_heads={self.num_heads} must be even and at least 6: "
                "RoPE rotates pairs of channels by frame, row and column."
            )
        if len(self.patch) != 3 or min(self.patch) < 1 or self.patch[0] != 1:
            raise ValueError(f"patch={self.patch} must be (1, h, w) with h, w >= 1.")

    @property
    def pairs(self) -> tuple[int, int, int]:
        """Numbers of a head's channel pairs that RoPE rotates by frame, row and column."""
        half = self.width // self.num_heads // 2
        third = self.width // self.num_heads // 6
        return half - 2 * third, third, third


def _heads(
    module: nn.Module, x: Float[Array, "b n d"], name: str, *, norm: bool
) -> Float[Array, "b n a e"]:
    """Queries, keys or values, as `name` says; `norm` normalises them over all heads together."""
    width, heads = x.shape[-1], module.num_heads
    axes = ("embed", "heads", "head_dim")
    y = Linear((heads, width // heads), axes=axes, dtype=module.dtype, name=name)(x)
    if norm:
        flat = y.reshape(*y.shape[:2], width)
        y = RMSNorm(module.dtype, axis_name="heads", name=f"{name}_norm")(flat).reshape(y.shape)
    return y


def _out(module: nn.Module, y: Float[Array, "b n a e"]) -> tuple[Float[Array, "b n d"], Array]:
    y = nn.with_logical_constraint(y, TOKENS)
    width = y.shape[-1] * y.shape[-2]
    axes = ("heads", "head_dim", "embed")
    linear = Linear(width, axes=axes, contract=2, dtype=module.dtype, name="out")
    y, bias = linear.without_bias(y)
    assert bias is not None
    return y, bias


class SelfAttention(nn.Module):
    """MUGDiT's self-attention with queries and keys normalised over all heads together."""

    num_heads: int
    dtype: DTypeLike
    attend: Attend
    modulate: Modulation  # unused: no kernel normalises over all heads

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "b n d"],
        cos: Float[Array, "b n k"],
        sin: Float[Array, "b n k"],
        key_lengths: Int[Array, "b"] | None,
    ) -> tuple[Float[Array, "b n d"], Float[Array, "d"]]:
        q, k, v = (
            nn.with_logical_constraint(_heads(self, x, name, norm=name != "v"), TOKENS)
            for name in "qkv"
        )
        q, k = (rotate(part, cos, sin).astype(self.dtype) for part in (q, k))
        return _out(self, self.attend(q, k, v, key_lengths))


class CrossAttention(nn.Module):
    """MUGDiT's cross-attention with queries and keys normalised over all heads together."""

    num_heads: int
    dtype: DTypeLike
    attend: Attend

    @nn.compact
    def __call__(
        self, x: Float[Array, "b n d"], text: TextStates, text_lengths: Int[Array, "b"] | None
    ) -> tuple[Float[Array, "b n d"], Float[Array, "d"]]:
        q = nn.with_logical_constraint(_heads(self, x, "q", norm=True), TOKENS)
        k, v = (_heads(self, text, name, norm=name == "k") for name in "kv")
        return _out(self, self.attend(q, k, v, text_lengths))


class WanDiT(nn.Module):
    """Velocity noise - x_0 of noisy latents; fields as in `MugDiT`."""

    config: WanDiTConfig
    dtype: DTypeLike = jnp.float32
    attend: Attend = attend
    modulate: Modulation = Modulation()
    token_multiple: int = 1
    remat: str = "none"
    joint_attention: ClassVar[bool] = False  # `attend` is over video and text together

    @nn.compact
    def __call__(self, x: Latent, t: Float[Array, "b"], text: TextStates) -> Latent:
        """Velocity at `x`.

        t: time in [0, 1000] of all frames.
        text: states of the text encoder, zeros after the end of each text.
        """
        return self._velocity(self._patch_embed(x, "patch_embed"), t[:, None], text, x.shape[1:4])

    def _velocity(
        self,
        embedded: Float[Array, "b n d"],
        time: Float[Array, "b g"],
        text: Float[Array, "b s l"],
        size: tuple[int, ...],
    ) -> Latent:
        """Velocity from embedded patches.

        time: time of the first frames one by one; the last one is that of all other frames.
        size: (f, h, w) of the latents.
        """
        config = self.config
        frames, height, width = size
        length = embedded.shape[1]
        per_frame = length // frames
        embedded = pad_tokens(embedded, self.token_multiple)
        rows, tokens = embedded.shape[:2]
        of_frame = jnp.arange(tokens) // per_frame

        group = jnp.minimum(of_frame, time.shape[1] - 1)
        embed = ScalarEmbed(config.width, name="time_embed")(time)
        embed = nn.with_logical_constraint(embed, ("batch", None, None))
        six_vectors = Linear(
            (6, config.width),
            axes=("embed", "modulation", None),
            dtype=jnp.float32,
            name="modulation",
        )
        columns = -(-width // config.patch[2])
        place = jnp.arange(tokens) % per_frame
        position = jnp.stack([of_frame, place // columns, place % columns], axis=-1)
        cos, sin = cos_sin(jnp.broadcast_to(position[None], (rows, tokens, 3)), config.pairs)
        context = Context(
            modulation=six_vectors(nn.silu(embed)),
            group=group,
            cos=cos,
            sin=sin,
            token_lengths=jnp.full((rows,), length) if tokens > length else None,
            text=self._text_embed(text),
            text_lengths=None,
        )
        y = self._blocks()(nn.with_logical_constraint(embedded, RESIDUAL), context, None)[0]
        y = Final(config, self.dtype, self.modulate, name="final")(y, embed, group)
        # Gathered here: XLA would do so before the last layer, where tokens are far wider.
        y = nn.with_logical_constraint(y, ("batch", None, None))
        return unpatchify(y[:, :length], (frames, height, width), config.patch)

    def _patch_embed(self, x: Latent, name: str) -> Float[Array, "b n d"]:
        patches = patchify(x.astype(self.dtype), self.config.patch)
        return Linear(self.config.width, axes=(None, "embed"), dtype=self.dtype, name=name)(patches)

    def _text_embed(self, text: TextStates) -> Float[Array, "b m e"]:
        width, tokens = self.config.width, self.config.text_tokens
        text = jnp.pad(text, ((0, 0), (0, max(0, tokens - text.shape[1])), (0, 0)))[:, :tokens]
        return Mlp(width, features=width, dtype=self.dtype, name="text_embed")(
            text.astype(self.dtype)
        )

    def _blocks(self) -> nn.Module:
        return nn.scan(
            rematerialised(streamed(Block, self), self.remat),
            variable_axes={"params": 0, "lora": 0, "intermediates": 0},
            split_rngs={"params": True},
            in_axes=(nn.broadcast,) * 2,  # pyright: ignore[reportArgumentType] - unannotated in Flax
            length=self.config.depth,
            metadata_params={nn.PARTITION_NAME: "layers"},
        )(
            self.config,
            self.dtype,
            self.attend,
            self.modulate,
            SelfAttention,
            CrossAttention,
            name="blocks",
        )
