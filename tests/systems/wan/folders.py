# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""A small Wan2.1: sizes, its folder in both layouts, and outputs of diffusers from it."""

import json
import shutil
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import safetensors.torch
import torch
import transformers

from mugv_jax.nn.text.t5 import T5Config
from mugv_jax.nn.wan.dit import WanDiTConfig
from mugv_jax.nn.wan.vae import WanVAEConfig
from mugv_jax.systems.wan.system import WanConfig
from mugv_jax.weights.registry import MODELS
from tests.nn.sd3 import perturbed
from tests.vocabulary import train_vocabulary

CORPUS = ("a red paper boat drifts down a rainy street", "a cat sits on the mat", "静止不动的画面")
# Heads have 128 channels, which the authors' file does not tell; two divide over a mesh.
SMALL = WanConfig(
    dit=WanDiTConfig(depth=2, width=256, mlp_dim=64, num_heads=2, text_dim=32),
    vae=WanVAEConfig(width=8, multipliers=(1, 2, 2, 2), layers=1),
    text=T5Config(
        vocab_size=300, width=32, head_dim=8, mlp_dim=32, depth=2, num_heads=4, shared_bias=False
    ),
)


def write_folder(folder: Path) -> Path:
    """Saves SMALL with diffusers and transformers, tokenizer included."""
    _transformer().save_pretrained(folder / "transformer")
    _vae().save_pretrained(folder / "vae")
    _text_encoder().save_pretrained(folder / "text_encoder")
    (folder / "tokenizer").mkdir()
    train_vocabulary(folder / "tokenizer", CORPUS)
    diffusers.FlowMatchEulerDiscreteScheduler(shift=8.0).save_pretrained(folder / "scheduler")
    index = {"_class_name": "WanPipeline", "vae": ["diffusers", "AutoencoderKLWan"]}
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


def _transformer() -> diffusers.WanTransformer3DModel:
    torch.manual_seed(0)
    sizes = SMALL.dit
    return perturbed(
        diffusers.WanTransformer3DModel(
            num_attention_heads=sizes.num_heads,
            attention_head_dim=sizes.width // sizes.num_heads,
            text_dim=sizes.text_dim,
            ffn_dim=sizes.mlp_dim,
            num_layers=sizes.depth,
        )
    )


def _vae() -> diffusers.AutoencoderKLWan:
    torch.manual_seed(1)
    sizes = SMALL.vae
    return perturbed(
        diffusers.AutoencoderKLWan(
            base_dim=sizes.width,
            dim_mult=list(sizes.multipliers),
            num_res_blocks=sizes.layers,
            temperal_downsample=list(sizes.halve_time),
        )
    )


def _text_encoder() -> transformers.UMT5EncoderModel:
    torch.manual_seed(2)
    sizes = SMALL.text
    config = transformers.UMT5Config(
        vocab_size=sizes.vocab_size,
        d_model=sizes.width,
        d_kv=sizes.head_dim,
        d_ff=sizes.mlp_dim,
        num_layers=sizes.depth,
        num_heads=sizes.num_heads,
        feed_forward_proj="gated-gelu",
    )
    return perturbed(transformers.UMT5EncoderModel(config))


class _Euler(diffusers.FlowMatchEulerDiscreteScheduler):
    """diffusers' scheduler at equally spaced times before the shift, down to 0."""

    def set_timesteps(self, num_inference_steps: int, device=None) -> None:
        sigmas = np.linspace(1.0, 0.0, num_inference_steps + 1)[:-1]
        super().set_timesteps(sigmas=sigmas, device=device)


def published_videos(
    folder: Path, prompt: str, negative: str, noise: np.ndarray, steps: int, guidance: float
) -> tuple[np.ndarray, np.ndarray]:
    """Latent (f h w c) and frames in [0, 1] that diffusers' pipeline makes."""
    pipeline = diffusers.WanPipeline(
        tokenizer=transformers.T5Tokenizer.from_pretrained(folder / "tokenizer"),
        text_encoder=transformers.UMT5EncoderModel.from_pretrained(folder / "text_encoder"),
        vae=diffusers.AutoencoderKLWan.from_pretrained(folder / "vae"),
        scheduler=_Euler.from_pretrained(folder / "scheduler"),
        transformer=diffusers.WanTransformer3DModel.from_pretrained(folder / "transformer"),
    )
    pipeline.set_progress_bar_config(disable=True)
    frames, height, width, _ = noise.shape
    made = []
    for output_type in ("latent", "np"):
        made.append(
            pipeline(
                prompt,
                negative,
                height=8 * height,
                width=8 * width,
                num_frames=4 * (frames - 1) + 1,
                num_inference_steps=steps,
                guidance_scale=guidance,
                latents=torch.from_numpy(noise).movedim(-1, 0)[None],
                output_type=output_type,
            ).frames[0]
        )
    return made[0].movedim(0, -1).numpy(), made[1]


def write_original(source: Path, folder: Path) -> Path:
    """The weights that `write_folder` wrote to `source`, in the layout of the authors."""
    folder.mkdir()
    for field, (name, part) in ORIGINAL.items():
        published, theirs = SMALL.KINDS[field]
        names = names_of(theirs, published, getattr(SMALL, field))
        renamed = {names[old]: tensor for old, tensor in tensors_of(source / part).items()}
        if name.endswith(".pth"):
            torch.save(renamed, folder / name)
        else:
            safetensors.torch.save_file(renamed, folder / name)
    shutil.copytree(source / "tokenizer", folder / "google" / "umt5-xxl")
    return folder


# Field -> the authors' file, and the folder in diffusers' layout.
ORIGINAL = {
    "dit": ("diffusion_pytorch_model.safetensors", "transformer"),
    "vae": ("Wan2.1_VAE.pth", "vae"),
    "text": ("models_t5_umt5-xxl-enc-bf16.pth", "text_encoder"),
}


def tensors_of(folder: Path) -> dict[str, torch.Tensor]:
    """Tensors of the one file in a model's folder."""
    (file,) = folder.glob("*.safetensors")
    return safetensors.torch.load_file(file)


def names_of(old: str, new: str, config: Any) -> dict[str, str]:
    """Name of every tensor in the kind `old` of a model -> its name in the kind `new`."""
    tables = [MODELS[kind].table(config) for kind in (old, new)]
    names = [{rule.path: table.names(rule) for rule in table.rules} for table in tables]
    return {
        one: other
        for path in names[0]
        for one, other in zip(names[0][path], names[1][path], strict=True)
    }
