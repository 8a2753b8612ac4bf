# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""MUGDiT: the diffusion transformer of MUG-V (arXiv:2510.17519, section 3.2).

Tokens: one per (1, 2, 2) patch of the latent, framed by a learned start and end token. Time enters
per latent frame, so a given (clean) frame simply has t = 0, as have the start and end tokens; the
six modulation vectors are computed once per frame and looked up by its tokens.
"""

import math
from collections.abc import Callable
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from mugv_jax.axes import Array, Bool, Float, Int
from mugv_jax.kernels.attention import Attend, attend
from mugv_jax.kernels.modulate import Modulation
from mugv_jax.nn.dit.embed import FrameEmbed, TextEmbed
from mugv_jax.nn.dit.patch import patchify, unpatchify
from mugv_jax.nn.dit.remat import rematerialised
from mugv_jax.nn.dit.rope import rotation
from mugv_jax.nn.dit.sizes import DiTSizes
from mugv_jax.nn.layers import Linear, partitioned, unboxed
from mugv_jax.nn.mugdit.block import RESIDUAL, Block, Context
from mugv_jax.nn.mugdit.sizes import DiTConfig
from mugv_jax.nn.mugdit.text import KeysValues, valid_first
from mugv_jax.nn.stream import streamed

# (run, variables stacked over layers, x, context) -> x, where `run(some layers' variables, x,
# context) -> x`.
RunBlocks = Callable[[Callable[..., Array], Any, Array, Context], Array]


class MugDiT(nn.Module):
    """Velocity of a noisy latent.

    attend, modulate: attention and modulation, which a mesh replaces by its own.
    token_multiple: the token axis is padded (and masked) to a multiple of this, for meshes and
        kernels that need it.
    remat: what the backward pass keeps of a block, a key of `remat.POLICIES`.
    pipeline: runs the blocks where a mesh splits them into stages (`sharding/pipeline.py`); None
        runs them one after the other.
    """

    config: DiTConfig
    dtype: DTypeLike = jnp.float32
    attend: Attend = attend
    modulate: Modulation = Modulation()
    token_multiple: int = 1
    remat: str = "none"
    pipeline: RunBlocks | None = None
    joint_attention: ClassVar[bool] = False  # `attend` is over video and text together

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "b f h w c"],
        t: Float[Array, "b f"],
        text: Float[Array, "b s l"] | KeysValues,
        *,
        text_mask: Bool[Array, "b s"] | None = None,
        fps: Float[Array, "b"],
        frame_index: Int[Array, "b g"],
    ) -> Float[Array, "b f h w c"]:
        """Velocity v = x_0 - noise at `x`.

        t: time of each latent frame in [0, 1000]; 0 for a given frame, 1000 is pure noise.
        text: states of the text encoder, with `text_mask` marking the valid ones; or their
            keys and values from `TextReader`, without a mask.
        fps: frames per second of the video.
        frame_index: time positions of start token, frames and end token, normally 0 .. f+1.
        """
        config = self.config
        frames, height, width = x.shape[1:4]
        patches = patchify(x.astype(self.dtype), config.patch)
        length = patches.shape[1] + 2
        padding = -length % self.token_multiple

        frame_embed = FrameEmbed(config.width)
        nn.share_scope(self, frame_embed)
        embed_bgd, vectors = frame_embed(t, fps)
        if isinstance(text, KeysValues):
            text_lengths = text.lengths
        else:
            assert text_mask is not None
            text, text_lengths = valid_first(text, text_mask)
            text = TextEmbed(config.width, self.dtype, name="text_embed")(text)

        grid = -(-height // config.patch[1]), -(-width // config.patch[2])
        cos, sin = rotation(frame_index, *grid, config.head_dim)
        context = Context(
            modulation=vectors,
            group=token_groups(frames, patches.shape[1] // frames, length + padding),
            cos=pad_tokens(cos, self.token_multiple),
            sin=pad_tokens(sin, self.token_multiple),
            token_lengths=jnp.full(x.shape[:1], length) if padding else None,
            text=text,
            text_lengths=text_lengths,
        )

        residual = Linear(config.width, axes=(None, "embed"), dtype=self.dtype, name="patch_embed")(
            patches
        )
        residual = pad_tokens(self._with_ends(residual), self.token_multiple)
        residual = nn.with_logical_constraint(residual, RESIDUAL)
        residual = self._run_blocks(residual, context)

        out = Final(config, self.dtype, self.modulate, name="final")(
            residual, embed_bgd, context.group
        )
        out = unpatchify(out[:, 1 : length - 1], (frames, height, width), config.patch)
        self.sow("intermediates", "out", out)
        return out[..., : config.in_channels]

    def _with_ends(self, tokens: Float[Array, "b n d"]) -> Float[Array, "b m d"]:
        init = partitioned(nn.initializers.normal(0.02), "embed")
        ends = [
            jnp.broadcast_to(
                self.param(name, init, tokens.shape[2:]).astype(self.dtype)[None, None],
                (tokens.shape[0], 1, tokens.shape[2]),
            )
            for name in ("start_token", "end_token")
        ]
        return jnp.concatenate([ends[0], tokens, ends[1]], axis=1)

    def _run_blocks(self, x: Float[Array, "b n d"], context: Context) -> Float[Array, "b n d"]:
        cached = isinstance(context.text, KeysValues)
        numbers = jnp.arange(self.config.depth) if cached else None
        if self.pipeline is None or self.is_initializing():
            return self._blocks(self.config.depth, name="blocks")(x, context, numbers)[0]
        stacked = {
            collection: values["blocks"]
            for collection, values in self.variables.items()
            if "blocks" in values
        }

        def run(some: Any, x: Float[Array, "b n d"], context: Context) -> Float[Array, "b n d"]:
            variables, numbers = some
            depth = jax.tree.leaves(variables)[0].shape[0]
            return self._blocks(depth, parent=None).apply(variables, x, context, numbers)[0]

        return self.pipeline(run, (unboxed(stacked), numbers), x, context)

    def _blocks(self, depth: int, **module_fields: Any) -> nn.Module:
        """Scan over `depth` blocks, whose variables have a leading axis "layers"."""
        return nn.scan(
            rematerialised(streamed(Block, self), self.remat),
            variable_axes={"params": 0, "lora": 0, "intermediates": 0},
            split_rngs={"params": True},
            in_axes=(nn.broadcast, 0),  # pyright: ignore[reportArgumentType] - unannotated in Flax
            length=depth,
            metadata_params={nn.PARTITION_NAME: "layers"},
        )(
            self.config,
            self.dtype,
            self.attend,
            self.modulate,
            **module_fields,
        )


class Final(nn.Module):
    """Final layer: LN, shift and scale from the time embedding, Linear to the patches' channels.

    config: has the sizes `width`, `patch` and `out_channels`.
    """

    config: DiTSizes
    dtype: DTypeLike
    modulate: Modulation

    @nn.compact
    def __call__(
        self, x: Float[Array, "b n d"], embed: Float[Array, "b g d"], group: Int[Array, "n"]
    ) -> Float[Array, "b n p"]:
        config = self.config
        init = partitioned(nn.initializers.normal(config.width**-0.5), "modulation", "embed")
        table = self.param("scale_shift_table", init, (2, config.width))
        shift, scale = (embed + table[i].astype(jnp.float32)[None, None] for i in range(2))
        x = self.modulate.norm_modulate(x, shift, scale, group)
        features = math.prod(config.patch) * config.out_channels
        return Linear(features, axes=("embed", None), dtype=self.dtype, name="linear")(x)


def token_groups(frames: int, tokens_per_frame: int, length: int) -> Int[Array, "n"]:
    """Group of each token: 0 for start, 1 .. frames for frames, frames + 1 for end and padding."""
    return jnp.clip((jnp.arange(length) - 1) // tokens_per_frame + 1, 0, frames + 1)


def pad_tokens(x: Float[Array, "b n d"], multiple: int) -> Float[Array, "b m d"]:
    """`x` with zero tokens appended up to a multiple."""
    return jnp.pad(x, ((0, 0), (0, -x.shape[1] % multiple), (0, 0)))
