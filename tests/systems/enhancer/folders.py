# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""A small enhancer: its sizes, and its files in the published form."""

from pathlib import Path

import safetensors.torch
import torch

from mugv_jax import golden
from mugv_jax.nn.text.t5 import T5Config
from mugv_jax.nn.wan.dit import WanDiTConfig
from mugv_jax.nn.wan.vae import WanVAEConfig
from mugv_jax.systems.enhancer.system import EnhancerConfig
from tests.systems.mugv.folders import published_tensors
from tests.vocabulary import train_vocabulary

RANK = 3
CORPUS = ("High quality video, HD, clear, motion, cinema", "blurry, a red boat", "静止不动的画面")
# Heads have 128 channels, which the published file does not tell; two divide over a mesh.
SMALL = EnhancerConfig(
    dit=WanDiTConfig(
        depth=2, width=256, mlp_dim=64, num_heads=2, in_channels=4, out_channels=4, text_dim=32
    ),
    vae=WanVAEConfig(width=8, multipliers=(1, 2), layers=1, latent_channels=4, halve_time=(True,)),
    text=T5Config(
        vocab_size=400, width=32, head_dim=8, mlp_dim=64, depth=1, num_heads=4, shared_bias=False
    ),
)


def lora_tensors() -> dict[str, torch.Tensor]:
    """Updates of all layers that the published file updates."""
    width, mlp = SMALL.dit.width, SMALL.dit.mlp_dim
    layers = {f"{part}.{x}": (width, width) for part in ("self_attn", "cross_attn") for x in "qkvo"}
    layers |= {"ffn.0": (width, mlp), "ffn.2": (mlp, width)}
    shapes = {}
    for block in range(SMALL.dit.depth):
        for layer, (inputs, outputs) in layers.items():
            name = f"pipe.dit.blocks.{block}.{layer}"
            shapes[f"{name}.lora_A.default.weight"] = (RANK, inputs)
            shapes[f"{name}.lora_B.default.weight"] = (outputs, RANK)
    return {name: torch.from_numpy(golden.recipe(name, shape)) for name, shape in shapes.items()}


def write_published(folder: Path) -> Path:
    """Writes SMALL under its published names, tokenizer included, into one folder."""
    tensors = {
        name: published_tensors(SMALL.KINDS[name][0], getattr(SMALL, name)) for name in SMALL.KINDS
    }
    safetensors.torch.save_file(tensors["dit"], folder / "dit_i2v.safetensors")
    torch.save(lora_tensors(), folder / "pytorch_model.bin")
    torch.save(tensors["vae"], folder / "Wan2.1_VAE.pth")
    torch.save(tensors["text"], folder / "models_t5_umt5-xxl-enc-bf16.pth")
    (folder / "google" / "umt5-xxl").mkdir(parents=True)
    train_vocabulary(folder / "google" / "umt5-xxl", CORPUS)
    return folder
