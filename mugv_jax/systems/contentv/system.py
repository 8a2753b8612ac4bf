# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""ContentV: MM-DiT, the Wan VAE, two CLIPs and T5, and the layout of its published folder."""

import dataclasses
from typing import ClassVar

from mugv_jax.nn.mmdit.model import MMDiTConfig
from mugv_jax.nn.text.clip import ClipTextConfig
from mugv_jax.nn.text.t5 import T5Config
from mugv_jax.nn.wan.vae import WanVAEConfig
from mugv_jax.systems.contentv.cost import COSTS
from mugv_jax.systems.contentv.denoiser import TEXT_TOKENS, ContentvDenoiser
from mugv_jax.systems.contentv.request import CONTENTV_SIZES, ContentvRequest
from mugv_jax.systems.sizes import WanSize
from mugv_jax.systems.system import Kinds, System, SystemConfig
from mugv_jax.weights.diffusers_folder import PipelineFolder
from mugv_jax.weights.tables import mmdit, wan_vae


@dataclasses.dataclass(frozen=True, kw_only=True)
class ContentvConfig(SystemConfig):
    """Sizes of ContentV's models; two CLIPs (`clip_l`, `clip_g`) and T5 read the prompt.

    Raises:
        ValueError: models that do not fit together.
    """

    KINDS: ClassVar[Kinds] = {
        "dit": ("contentv_dit",),
        "vae": ("wan_vae_diffusers", "wan_vae"),
        "clip_l": ("clip_text",),
        "clip_g": ("clip_text",),
        "text": ("t5_encoder",),
    }

    dit: MMDiTConfig
    vae: WanVAEConfig
    clip_l: ClipTextConfig
    clip_g: ClipTextConfig
    text: T5Config

    def __post_init__(self):
        self.check_latents(self.dit.in_channels, self.vae.latent_channels)
        self.check_text(self.dit.text_dim, self.text.width)
        states = self.clip_l.width + self.clip_g.width
        if states > self.text.width:
            raise ValueError(
                f"the states of both CLIPs are {states} wide together, more than T5's "
                f"{self.text.width}, to which they are filled up: they are not of one system."
            )
        pooled = self.clip_l.features + self.clip_g.features
        if self.dit.pooled_dim != pooled:
            raise ValueError(
                f"the DiT reads summaries of width {self.dit.pooled_dim}, but both CLIPs make "
                f"{pooled} together: they are not of one system."
            )
        if pooled > self.text.width:
            raise ValueError(
                f"the summaries of both CLIPs are {pooled} wide together, more than T5's "
                f"{self.text.width}: a sample holds them as one of its text states."
            )


# Subfolders of the models, published and converted alike.
FOLDERS = {
    "dit": "transformer",
    "vae": "vae",
    "clip_l": "text_encoder",
    "clip_g": "text_encoder_2",
    "text": "text_encoder_3",
}
TOKENIZERS = {"clip_l": "tokenizer", "clip_g": "tokenizer_2", "text": "tokenizer_3"}

_CLIP, _CLIP_TOKENIZER = "CLIPTextModelWithProjection", "CLIPTokenizer"
_SCHEDULER = "FlowMatchEulerDiscreteScheduler"
PIPELINE = PipelineFolder(
    title="ContentV",
    models={folder: ContentvConfig.KINDS[field][0] for field, folder in FOLDERS.items()},
    tokenizers=tuple(TOKENIZERS.values()),
    index={
        "_class_name": "ContentVPipeline",
        "scheduler": ["diffusers", _SCHEDULER],
        "text_encoder": ["transformers", _CLIP],
        "text_encoder_2": ["transformers", _CLIP],
        "text_encoder_3": ["transformers", "T5EncoderModel"],
        "tokenizer": ["transformers", _CLIP_TOKENIZER],
        "tokenizer_2": ["transformers", _CLIP_TOKENIZER],
        "tokenizer_3": ["transformers", "T5TokenizerFast"],
        "transformer": ["contentv_transformer", mmdit.CLASS],
        "vae": ["diffusers", wan_vae.CLASS],
    },
    scheduler={
        "_class_name": _SCHEDULER,
        "num_train_timesteps": 1000,
        "shift": ContentvRequest.shift,
    },
)

SYSTEM = System(
    name="contentv",
    title="ContentV",
    config=ContentvConfig,
    titles={
        "dit": "DiT",
        "vae": "VAE",
        "clip_l": "CLIP",
        "clip_g": "second CLIP",
        "text": "T5",
    },
    files={field: (folder,) for field, folder in FOLDERS.items()},
    size=WanSize,
    # The first two are names that all systems share.
    sizes={
        "landscape": CONTENTV_SIZES["16:9"],
        "portrait": CONTENTV_SIZES["9:16"],
        **CONTENTV_SIZES,
    },
    lengths=ContentvRequest.LENGTHS,
    steps=ContentvRequest.steps,
    text_tokens=lambda _: TEXT_TOKENS,
    denoiser=ContentvDenoiser,
    train_shift=1.0,  # section 5.1
    sample_shift=ContentvRequest.shift,
    costs=COSTS,
    folder=PIPELINE,
)
