# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Wan2.1 text-to-video: WanDiT, the Wan VAE and UMT5, and both layouts of its published folder."""

import dataclasses
from typing import ClassVar

from mugv_jax.nn.text.t5 import T5Config
from mugv_jax.nn.wan.dit import WanDiTConfig
from mugv_jax.nn.wan.vae import WanVAEConfig
from mugv_jax.systems.sizes import WanSize
from mugv_jax.systems.system import Kinds, System, SystemConfig
from mugv_jax.systems.wan.cost import COSTS
from mugv_jax.systems.wan.denoiser import WanDenoiser
from mugv_jax.systems.wan.request import WAN_SIZES, WanRequest
from mugv_jax.weights.diffusers_folder import PipelineFolder
from mugv_jax.weights.tables import wan_dit, wan_vae


@dataclasses.dataclass(frozen=True, kw_only=True)
class WanConfig(SystemConfig):
    """Sizes of Wan2.1's models; `text` is UMT5.

    Raises:
        ValueError: models that do not fit together.
    """

    KINDS: ClassVar[Kinds] = {
        "dit": ("wan_dit", "wan_dit_diffusers"),
        "vae": ("wan_vae", "wan_vae_diffusers"),
        "text": ("umt5_encoder", "umt5_encoder_transformers"),
    }

    dit: WanDiTConfig
    vae: WanVAEConfig
    text: T5Config

    def __post_init__(self):
        self.check_latents(self.dit.in_channels, self.vae.latent_channels)
        self.check_text(self.dit.text_dim, self.text.width)


_STEM = "diffusion_pytorch_model.safetensors"
# Folders of diffusers and of converted models come first, then the authors' own files.
FILES = {
    "dit": ("transformer", _STEM, f"{_STEM}.index.json"),
    "vae": ("vae", "Wan2.1_VAE.pth"),
    "text": ("text_encoder", "models_t5_umt5-xxl-enc-bf16.pth"),
}
TOKENIZERS = ("tokenizer", "google/umt5-xxl")

_SCHEDULER = "FlowMatchEulerDiscreteScheduler"
PIPELINE = PipelineFolder(
    title="Wan2.1",
    models={
        "transformer": "wan_dit_diffusers",
        "vae": "wan_vae_diffusers",
        "text_encoder": "umt5_encoder_transformers",
    },
    tokenizers=TOKENIZERS[:1],
    index={
        "_class_name": "WanPipeline",
        "scheduler": ["diffusers", _SCHEDULER],
        "text_encoder": ["transformers", "UMT5EncoderModel"],
        "tokenizer": ["transformers", "T5TokenizerFast"],
        "transformer": ["diffusers", wan_dit.CLASS],
        "vae": ["diffusers", wan_vae.CLASS],
    },
    scheduler={
        "_class_name": _SCHEDULER,
        "num_train_timesteps": 1000,
        "shift": WanRequest.shift,
    },
)

SYSTEM = System(
    name="wan",
    title="Wan2.1",
    config=WanConfig,
    titles={"dit": "DiT", "vae": "VAE", "text": "text encoder"},
    files=FILES,
    size=WanSize,
    sizes=WAN_SIZES,
    lengths=WanRequest.LENGTHS,
    steps=WanRequest.steps,
    text_tokens=lambda dit: dit.text_tokens,
    denoiser=WanDenoiser,
    train_shift=1.0,  # the paper has logit-normal times and states no shift
    sample_shift=WanRequest.shift,
    costs=COSTS,
    folder=PIPELINE,
)
