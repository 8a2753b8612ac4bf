# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The enhancer's EnhancerDiT as a denoiser, and the condition that it reads."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from mugv_jax.axes import Array, Latent
from mugv_jax.flow.denoiser import Denoiser, FrameTimes, LatentShape
from mugv_jax.flow.path import MODEL_TIME
from mugv_jax.nn.wan.enhancer import EnhancerDiT
from mugv_jax.sharding.place import batch_sharding


class EnhancerCondition(flax.struct.PyTreeNode):
    """Inputs of EnhancerDiT beside latent and time.

    text: (b s l); states of UMT5, zero after the end of a text.
    clean: (b f h w c) float32; latents of the input video.
    """

    text: Any
    clean: Any


@dataclasses.dataclass(frozen=True)
class EnhancerDenoiser(Denoiser[EnhancerCondition]):
    """EnhancerDiT: predicts noise - x_0, has time in thousandths, and holds frame 0 at time 0."""

    dit: EnhancerDiT

    def velocity(
        self, variables: Any, x: Latent, t: FrameTimes, condition: EnhancerCondition
    ) -> Latent:
        """See `Denoiser.velocity`; all frames but frame 0 have the largest time."""
        time = jnp.max(MODEL_TIME * t, axis=1)
        published: Any = self.dit.apply(variables, x, time, condition.text, condition.clean)
        return -published

    def condition(self, batch: Mapping[str, Array]) -> EnhancerCondition:
        """See `Denoiser.condition`; the fields are "text" and "clean"."""
        return EnhancerCondition(text=batch["text"], clean=batch["clean"])

    def abstract_condition(
        self, mesh: Mesh, *, rows: int, latent_shape: LatentShape, text_tokens: int
    ) -> EnhancerCondition:
        config = self.dit.config
        shaped = functools.partial(jax.ShapeDtypeStruct, sharding=batch_sharding(mesh, rows))
        return EnhancerCondition(
            text=shaped((rows, text_tokens, config.text_dim), self.dit.dtype),
            clean=shaped((rows, *latent_shape, config.in_channels), jnp.float32),
        )
