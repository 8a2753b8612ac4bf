# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""ContentV from prompt to video (arXiv:2506.05343).

prompts -> two CLIPs and T5 -> text states and summaries
noise, text -> MMDiT, once per step and prompt -> latents
latents -> Wan VAE decoder -> frames
"""

from collections.abc import Sequence

import jax
import numpy as np

from mugv_jax.systems.contentv.denoiser import ContentvCondition
from mugv_jax.systems.contentv.models import ContentvModels
from mugv_jax.systems.contentv.request import ContentvRequest
from mugv_jax.systems.contentv.system import ContentvConfig
from mugv_jax.systems.text_to_video import TextPipeline


class ContentvPipeline(TextPipeline[ContentvModels, ContentvConfig]):
    """Text-to-video; see `systems.text_to_video.TextPipeline`."""

    MODELS, REQUEST = ContentvModels, ContentvRequest

    def _condition(self, texts: Sequence[ContentvCondition]) -> ContentvCondition:
        return stacked(texts)


def stacked(rows: Sequence[ContentvCondition]) -> ContentvCondition:
    """Condition of a batch, from the conditions of its rows."""
    return jax.tree.map(lambda *arrays: np.stack(arrays), *rows)
