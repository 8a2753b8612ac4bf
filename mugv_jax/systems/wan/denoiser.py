# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""WanDiT as a denoiser, and the condition that it reads."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import flax.struct
import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from mugv_jax.axes import Array, Latent
from mugv_jax.flow.denoiser import Denoiser, FrameTimes, LatentShape
from mugv_jax.flow.path import MODEL_TIME
from mugv_jax.nn.wan.dit import WanDiT
from mugv_jax.sharding.place import batch_sharding


class WanCondition(flax.struct.PyTreeNode):
    """Input of WanDiT beside latent and time.

    text: (b s l); states of UMT5, zero after the end of a text.
    """

    text: Any


@dataclasses.dataclass(frozen=True)
class WanDenoiser(Denoiser[WanCondition]):
    """WanDiT, which predicts noise - x_0 and has one time per video, in thousandths."""

    given_frames: ClassVar[bool] = False

    dit: WanDiT

    def velocity(self, variables: Any, x: Latent, t: FrameTimes, condition: WanCondition) -> Latent:
        """See `Denoiser.velocity`; all frames have the time of frame 0."""
        published: Any = self.dit.apply(variables, x, MODEL_TIME * t[:, 0], condition.text)
        return -published

    def condition(self, batch: Mapping[str, Array]) -> WanCondition:
        """See `Denoiser.condition`; the fields are "text" and "text_mask".

        Wan2.1 has no mask in its attention: it reads zeros in place of what the mask leaves out.
        """
        text, mask = batch["text"], batch["text_mask"]
        return WanCondition(text=jnp.where(mask[..., None], text, jnp.zeros((), text.dtype)))

    def abstract_condition(
        self, mesh: Mesh, *, rows: int, latent_shape: LatentShape, text_tokens: int
    ) -> WanCondition:
        del latent_shape
        shape = (rows, text_tokens, self.dit.config.text_dim)
        sharding = batch_sharding(mesh, rows)
        return WanCondition(text=jax.ShapeDtypeStruct(shape, self.dit.dtype, sharding=sharding))
