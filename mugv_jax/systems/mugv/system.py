# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""MUG-V: MUGDiT, the 8x8x8 video VAE and T5."""

import dataclasses
from typing import ClassVar

from mugv_jax.nn.mugdit.sizes import DiTConfig
from mugv_jax.nn.text.t5 import T5Config
from mugv_jax.nn.vae.sizes import VAEConfig
from mugv_jax.nn.vae.statistics import LATENT_SCALE, LATENT_SHIFT
from mugv_jax.nn.vae.tiny import TinyDecoderConfig
from mugv_jax.systems.mugv.cost import COSTS
from mugv_jax.systems.mugv.denoiser import MugvDenoiser
from mugv_jax.systems.mugv.request import Request
from mugv_jax.systems.mugv.size import FRAMES, MAX_TOKENS, SIZES, STRIDE, VideoSize
from mugv_jax.systems.system import Kinds, System, SystemConfig
from mugv_jax.weights.diffusers_folder import PipelineFolder
from mugv_jax.weights.tables import mugv_dit, mugv_vae


@dataclasses.dataclass(frozen=True, kw_only=True)
class MugvConfig(SystemConfig):
    """Sizes of MUG-V's models; `dit` is None where nothing is generated.

    tiny_decoder: a fast substitute for the VAE's decoder, or None.

    Raises:
        ValueError: models that do not fit together, or not to the grid of `VideoSize`.
    """

    KINDS: ClassVar[Kinds] = {"dit": ("mugv_dit",), "vae": ("mugv_vae",), "text": ("t5_encoder",)}

    OPTIONAL: ClassVar[Kinds] = {"tiny_decoder": ("mugv_tiny_decoder",)}

    dit: DiTConfig | None
    vae: VAEConfig
    text: T5Config
    tiny_decoder: TinyDecoderConfig | None = None

    def __post_init__(self):
        if self.dit is not None:
            self.check_latents(self.dit.in_channels, self.vae.latent_channels)
            self.check_text(self.dit.text_dim, self.text.width)
        strides = self.vae.time_factor, self.vae.spatial_factor
        if strides != (STRIDE, STRIDE):
            raise ValueError(
                f"the VAE makes one latent of {strides[0]} frames and {strides[1]} pixels a side, "
                f"but videos are planned on a grid of {STRIDE}: give spatial_channels and "
                "temporal_multipliers 4 entries each."
            )
        if self.tiny_decoder is not None:
            for field in ("latent_channels", "time_factor", "spatial_factor"):
                found, wanted = getattr(self.tiny_decoder, field), getattr(self.vae, field)
                if found != wanted:
                    raise ValueError(
                        f"the tiny decoder has {field}={found}, the VAE {wanted}: take the tiny "
                        "decoder that was trained for this VAE, or none."
                    )


TEXT_ENCODER = "DeepFloyd/t5-v1_1-xxl"  # repository of T5 as published

TINY_DECODER = "tiny_decoder.safetensors"  # its file beside the others

_SCHEDULER = "FlowMatchEulerDiscreteScheduler"
# Our layout: MUG-V is published as single files.
PIPELINE = PipelineFolder(
    title="MUG-V",
    models={"transformer": "mugv_dit", "vae": "mugv_vae", "text_encoder": "t5_encoder"},
    tokenizers=("tokenizer",),
    index={
        "_class_name": "MugvPipeline",
        "scheduler": ["diffusers", _SCHEDULER],
        "text_encoder": ["transformers", "T5EncoderModel"],
        "tokenizer": ["transformers", "T5TokenizerFast"],
        "transformer": ["mugv_jax", mugv_dit.CLASS],
        "vae": ["mugv_jax", mugv_vae.CLASS],
    },
    # The shift depends on the size (`flow/schedule.py`).
    scheduler={
        "_class_name": _SCHEDULER,
        "num_train_timesteps": 1000,
        "use_dynamic_shifting": True,
    },
    files=("defaults.json", TINY_DECODER),
)

SYSTEM = System(
    name="mugv",
    title="MUG-V",
    config=MugvConfig,
    titles={
        "dit": "DiT",
        "vae": "VAE",
        "text": "text encoder",
        "tiny_decoder": "tiny decoder",
    },
    # Converted models (folders of Orbax or diffusers) come first, then published ones.
    files={
        "dit": ("dit", "transformer", "dit.pt", "dit.safetensors", "pytorch_model.bin.index.json"),
        "vae": ("vae", "vae.pt", "vae.safetensors"),
        "text": ("text_encoder", "t5", "t5-v1_1-xxl"),
        "tiny_decoder": ("tiny_decoder", TINY_DECODER),
    },
    elsewhere={"text": TEXT_ENCODER},
    size=VideoSize,
    sizes=SIZES,
    lengths=FRAMES,
    steps=Request.steps,
    text_tokens=lambda _: MAX_TOKENS,
    denoiser=MugvDenoiser,
    statistics=(LATENT_SHIFT, LATENT_SCALE),
    costs=COSTS,
    folder=PIPELINE,
)
