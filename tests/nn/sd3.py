# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""ContentV's transformer in PyTorch: the blocks of Stable Diffusion 3 on patches of a video."""

import einops
import torch
from diffusers import SD3Transformer2DModel
from diffusers.models.embeddings import get_3d_sincos_pos_embed

from mugv_jax.nn.mmdit.model import SPATIAL_SCALE, MMDiTConfig
from mugv_jax.weights.tables.mmdit import PICTURE_PATCHES


class VideoPatches(torch.nn.Module):
    """Tokens of (b c f h w), with the sines and cosines of their positions."""

    def __init__(self, config: MMDiTConfig):
        super().__init__()
        size = config.patch[1:]
        self.proj = torch.nn.Conv2d(config.in_channels, config.width, size, stride=size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pictures = self.proj(einops.rearrange(x, "b c f h w -> (b f) c h w"))
        rows, columns = pictures.shape[2:]
        places = get_3d_sincos_pos_embed(
            pictures.shape[1],
            (columns, rows),
            x.shape[2],
            spatial_interpolation_scale=SPATIAL_SCALE,
            output_type="pt",
        )
        tokens = einops.rearrange(pictures, "(b f) d h w -> b (f h w) d", b=len(x))
        return tokens + places.flatten(0, 1).to(tokens.dtype)


def make_transformer(config: MMDiTConfig, seed: int = 0) -> SD3Transformer2DModel:
    """Seeded transformer of these sizes, without tensors of zeros or ones."""
    made = make_of_pictures(config, seed)
    made.pos_embed = VideoPatches(config)
    return perturbed(made)


def make_of_pictures(config: MMDiTConfig, seed: int = 0) -> SD3Transformer2DModel:
    """Seeded transformer of Stable Diffusion 3.5 Large, of these sizes."""
    torch.manual_seed(seed)
    return SD3Transformer2DModel(
        patch_size=config.patch[1],
        in_channels=config.in_channels,
        out_channels=config.out_channels,
        num_layers=config.depth,
        num_attention_heads=config.num_heads,
        attention_head_dim=config.head_dim,
        joint_attention_dim=config.text_dim,
        pooled_projection_dim=config.pooled_dim,
        caption_projection_dim=config.width,
        qk_norm="rms_norm",
        pos_embed_max_size=PICTURE_PATCHES,
    )


def perturbed(module: torch.nn.Module) -> torch.nn.Module:
    """`module` in inference mode, with parameters moved away from their initial values."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return module.eval()


def differentiable_velocity(
    module: SD3Transformer2DModel,
    x: torch.Tensor,
    t: torch.Tensor,
    text: torch.Tensor,
    pooled: torch.Tensor,
) -> torch.Tensor:
    """noise - x_0 of latents (b c f h w) at times in [0, 1000]."""
    tokens, text = module.pos_embed(x), module.context_embedder(text)
    embed = module.time_text_embed(t, pooled)
    for block in module.transformer_blocks:
        text, tokens = block(hidden_states=tokens, encoder_hidden_states=text, temb=embed)
    out = module.proj_out(module.norm_out(tokens, embed))
    size = module.config.patch_size
    frames, rows, columns = x.shape[2], x.shape[3] // size, x.shape[4] // size
    axes = "b (f h w) (p q c) -> b c f (h p) (w q)"
    return einops.rearrange(out, axes, f=frames, h=rows, w=columns, p=size, q=size)


velocity = torch.no_grad()(differentiable_velocity)
