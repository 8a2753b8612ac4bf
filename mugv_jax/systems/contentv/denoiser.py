# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""ContentV's MM-DiT as a denoiser, and the condition that it reads."""

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
from mugv_jax.nn.mmdit.model import MMDiT
from mugv_jax.nn.text.clip import ClipTextConfig
from mugv_jax.sharding.place import batch_sharding

T5_TOKENS = 256
TEXT_TOKENS = ClipTextConfig.length + T5_TOKENS  # both CLIPs share their tokens


class ContentvCondition(flax.struct.PyTreeNode):
    """Inputs of MM-DiT beside latent and time.

    text: (b s l) float32; tokens of both CLIPs, concatenated over channels, then tokens of T5.
    pooled: (b p) float32; summaries of both CLIPs, concatenated.
    """

    text: Any
    pooled: Any


@dataclasses.dataclass(frozen=True)
class ContentvDenoiser(Denoiser[ContentvCondition]):
    """MM-DiT, which predicts noise - x_0 and has one time per video, in thousandths."""

    dit: MMDiT

    def velocity(
        self, variables: Any, x: Latent, t: FrameTimes, condition: ContentvCondition
    ) -> Latent:
        """See `Denoiser.velocity`; all frames have the time of frame 0."""
        time = MODEL_TIME * t[:, 0]
        published: Any = self.dit.apply(variables, x, time, condition.text, condition.pooled)
        return -published

    def condition(self, batch: Mapping[str, Array]) -> ContentvCondition:
        """See `Denoiser.condition`; the fields are "text" and "pooled"."""
        return ContentvCondition(text=batch["text"], pooled=batch["pooled"])

    def abstract_condition(
        self, mesh: Mesh, *, rows: int, latent_shape: LatentShape, text_tokens: int
    ) -> ContentvCondition:
        del latent_shape
        config = self.dit.config
        shaped = functools.partial(jax.ShapeDtypeStruct, sharding=batch_sharding(mesh, rows))
        return ContentvCondition(
            text=shaped((rows, text_tokens, config.text_dim), jnp.float32),
            pooled=shaped((rows, config.pooled_dim), jnp.float32),
        )
