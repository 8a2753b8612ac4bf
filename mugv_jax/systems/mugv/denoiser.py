# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""MUGDiT as a denoiser, and the condition that it reads."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import einops
import flax.struct
import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from mugv_jax.axes import Array, Bool, Float, Latent, TextStates
from mugv_jax.flow.denoiser import Denoiser, FrameTimes, LatentShape
from mugv_jax.flow.path import MODEL_TIME
from mugv_jax.nn.mugdit.first_input import FirstInput
from mugv_jax.nn.mugdit.model import MugDiT
from mugv_jax.nn.mugdit.text import KeysValues, TextReader
from mugv_jax.sharding.place import batch_sharding


class MugvCondition(flax.struct.PyTreeNode):
    """Inputs of MUGDiT beside latent and time.

    text: states of the text encoder, with `text_mask` true on valid ones; or the keys and values
        that `MugvDenoiser.read` computes from them, without a mask.
    fps: frames per second of the video.
    frame_index: time positions of start token, latent frames and end token.
    """

    text: Any  # TextStates | KeysValues, or their shapes
    text_mask: Any
    fps: Any
    frame_index: Any

    @classmethod
    def of(
        cls,
        text: TextStates,
        text_mask: Bool[Array, "b s"],
        fps: Float[Array, "b"] | float,
        latent_frames: int,
    ) -> "MugvCondition":
        """Condition of whole videos, whose frames are numbered from the first."""
        rows = len(text)
        index = einops.repeat(jnp.arange(latent_frames + 2), "g -> b g", b=rows)
        fps = jnp.broadcast_to(jnp.asarray(fps, jnp.float32), (rows,))
        return cls(text=text, text_mask=text_mask, fps=fps, frame_index=index)


@dataclasses.dataclass(frozen=True)
class MugvDenoiser(Denoiser[MugvCondition]):
    """MUGDiT, which predicts x_0 - noise and has time in thousandths."""

    dit: MugDiT

    def velocity(
        self, variables: Any, x: Latent, t: FrameTimes, condition: MugvCondition
    ) -> Latent:
        """See `Denoiser.velocity`."""
        velocity: Any = self.dit.apply(
            variables,
            x,
            MODEL_TIME * t,
            condition.text,
            text_mask=condition.text_mask,
            fps=condition.fps,
            frame_index=condition.frame_index,
        )
        return velocity

    def condition(self, batch: Mapping[str, Array]) -> MugvCondition:
        """See `Denoiser.condition`; the fields are "latent", "text", "text_mask" and "fps"."""
        frames = batch["latent"].shape[1]
        return MugvCondition.of(batch["text"], batch["text_mask"], batch["fps"], frames)

    def read(self, variables: Any, condition: MugvCondition) -> MugvCondition:
        """Keys and values of the text in all blocks, which do not depend on time."""
        reader = TextReader(self.dit.config, self.dit.dtype)
        keys_values = reader.apply(variables, condition.text, condition.text_mask)
        return condition.replace(text=keys_values, text_mask=None)

    def first_input(
        self, variables: Any, x: Latent, t: FrameTimes, condition: MugvCondition
    ) -> Float[Array, "b n d"]:
        """Input of the attention in block 0, which does not depend on the text."""
        module = FirstInput(self.dit.config, self.dit.dtype)
        first_input: Any = module.apply(variables, x, MODEL_TIME * t, condition.fps)
        return first_input

    def abstract_condition(
        self, mesh: Mesh, *, rows: int, latent_shape: LatentShape, text_tokens: int
    ) -> MugvCondition:
        """See `Denoiser.abstract_condition`; keys and values are split by heads."""
        config = self.dit.config
        batch = batch_sharding(mesh, rows)
        heads = None if config.num_heads % mesh.shape["tensor"] else "tensor"
        of_batch: Any = functools.partial(jax.ShapeDtypeStruct, sharding=batch)
        of_heads = NamedSharding(mesh, PartitionSpec(*batch.spec, None, None, heads, None))
        shape = (rows, config.depth, text_tokens, config.num_heads, config.head_dim)
        cached: Any = jax.ShapeDtypeStruct(shape, self.dit.dtype, sharding=of_heads)
        return MugvCondition(
            text=KeysValues(keys=cached, values=cached, lengths=of_batch((rows,), jnp.int32)),
            text_mask=None,
            fps=of_batch((rows,), jnp.float32),
            frame_index=of_batch((rows, latent_shape[0] + 2), jnp.int32),
        )
