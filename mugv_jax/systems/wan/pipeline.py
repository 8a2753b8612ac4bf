# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Wan2.1 from prompt to video (arXiv:2503.20314).

prompts -> UMT5 -> text states
noise, text -> WanDiT, once per step and prompt -> latents
latents -> Wan VAE decoder -> frames
"""

from collections.abc import Sequence

import numpy as np

from mugv_jax.axes import Float
from mugv_jax.systems.text import padded
from mugv_jax.systems.text_to_video import TextPipeline
from mugv_jax.systems.wan.denoiser import WanCondition
from mugv_jax.systems.wan.models import WanModels
from mugv_jax.systems.wan.request import WanRequest
from mugv_jax.systems.wan.system import WanConfig


class WanPipeline(TextPipeline[WanModels, WanConfig]):
    """Text-to-video; see `systems.text_to_video.TextPipeline`."""

    MODELS, REQUEST = WanModels, WanRequest

    def _condition(self, texts: Sequence[Float[np.ndarray, "_s d"]]) -> WanCondition:
        # The DiT was trained with zeros after the end of a text.
        states, _ = padded(texts, self.models.config.dit.text_tokens)
        return WanCondition(text=states)
