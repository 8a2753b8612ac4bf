# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""ContentV's MM-DiT as a denoiser, and the condition that it reads."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, ClassVar

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from mugv_jax.axes import Array, Float, Latent
from mugv_jax.flow.denoiser import Denoiser, FrameTimes, LatentShape
from mugv_jax.flow.path import MODEL_TIME
from mugv_jax.nn.mmdit.model import MMDiT
from mugv_jax.nn.text.clip import ClipTextConfig
from mugv_jax.sharding.place import batch_sharding

T5_TOKENS = 256
TEXT_TOKENS = ClipTextConfig.length + T5_TOKENS  # both CLIPs share their tokens
CAPTION_STATES = 1 + TEXT_TOKENS  # of a training sample, see `caption_states`


class ContentvCondition(flax.struct.PyTreeNode):
    """Inputs of MM-DiT beside latent and time.

    text: (b s l) float32; tokens of both CLIPs, concatenated over channels, then tokens of T5.
    pooled: (b p) float32; summaries of both CLIPs, concatenated.
    """

    text: Any
    pooled: Any


def caption_states(condition: ContentvCondition) -> Float[np.ndarray, "s l"]:
    """States of one caption as a training sample holds them: [[pooled, 0], text].

    The summaries are filled up with zeros to the width of the states, as those of both CLIPs are,
    and come first. A caption is then one field, which is stored, dropped and replaced as a whole.
    """
    pooled = np.zeros((1, condition.text.shape[-1]), np.float32)
    pooled[0, : len(condition.pooled)] = condition.pooled
    return np.concatenate([pooled, condition.text])


@dataclasses.dataclass(frozen=True)
class ContentvDenoiser(Denoiser[ContentvCondition]):
    """MM-DiT, which predicts noise - x_0 and has one time per video, in thousandths."""

    given_frames: ClassVar[bool] = False

    dit: MMDiT

    def velocity(
        self, variables: Any, x: Latent, t: FrameTimes, condition: ContentvCondition
    ) -> Latent:
        """See `Denoiser.velocity`; all frames have the time of frame 0."""
        time = MODEL_TIME * t[:, 0]
        published: Any = self.dit.apply(variables, x, time, condition.text, condition.pooled)
        return -published

    def condition(self, batch: Mapping[str, Array]) -> ContentvCondition:
        """See `Denoiser.condition`; the field is "text", as `caption_states` makes it."""
        states = batch["text"]
        pooled = states[:, 0, : self.dit.config.pooled_dim]
        return ContentvCondition(text=states[:, 1:], pooled=pooled)

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
