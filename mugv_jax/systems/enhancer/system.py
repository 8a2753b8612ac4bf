# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The video enhancer of MUG-V: EnhancerDiT, the Wan VAE and UMT5."""

import dataclasses
from typing import ClassVar

from mugv_jax.nn.text.t5 import T5Config
from mugv_jax.nn.wan.dit import WanDiTConfig
from mugv_jax.nn.wan.vae import WanVAEConfig
from mugv_jax.systems.enhancer.cost import COSTS
from mugv_jax.systems.enhancer.denoiser import EnhancerDenoiser
from mugv_jax.systems.enhancer.request import EnhanceRequest
from mugv_jax.systems.mugv.size import FRAMES, SIZES
from mugv_jax.systems.sizes import WanSize
from mugv_jax.systems.system import Kinds, System, SystemConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class EnhancerConfig(SystemConfig):
    """Sizes of the enhancer's models; `text` is UMT5.

    Raises:
        ValueError: models that do not fit together.
    """

    KINDS: ClassVar[Kinds] = {
        "dit": ("wan_enhancer_dit",),
        "vae": ("wan_vae", "wan_vae_diffusers"),
        "text": ("umt5_encoder",),
    }

    dit: WanDiTConfig
    vae: WanVAEConfig
    text: T5Config

    def __post_init__(self):
        self.check_latents(self.dit.in_channels, self.vae.latent_channels)
        self.check_text(self.dit.text_dim, self.text.width)


SYSTEM = System(
    name="enhancer",
    title="the enhancer",
    config=EnhancerConfig,
    titles={"dit": "DiT", "vae": "VAE", "text": "text encoder"},
    # Converted models (Orbax folders) come first, then published ones.
    files={
        "dit": ("dit", "dit_i2v.safetensors"),
        "vae": ("vae", "Wan2.1_VAE.pth"),
        "text": ("text_encoder", "models_t5_umt5-xxl-enc-bf16.pth"),
    },
    size=WanSize,
    sizes=SIZES,  # it enhances MUG-V's videos
    lengths=FRAMES,
    steps=EnhanceRequest.steps,
    text_tokens=lambda dit: dit.text_tokens,
    denoiser=EnhancerDenoiser,
    costs=COSTS,
)
