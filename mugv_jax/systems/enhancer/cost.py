# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Memory and arithmetic of the enhancer: UMT5, the Wan VAE and WanDiT.

forward = 2 (weights touched) tokens + depth (4 n^2 d + 4 n s d)
"""

import functools
import math

from mugv_jax.cost.costs import Costs, Task
from mugv_jax.cost.flops import LatentShape, dit_block, patches
from mugv_jax.cost.memory import transformers
from mugv_jax.cost.memory.plan import Plan
from mugv_jax.nn.dit.embed import SINUSOID_DIM
from mugv_jax.nn.wan.dit import WanDiTConfig
from mugv_jax.systems import wan_cost


def wan_forward(config: WanDiTConfig, latent_shape: LatentShape, text_tokens: int) -> int:
    """Floating-point operations of one forward pass; its inputs are noisy and clean latents."""
    n, s, d = patches(config, latent_shape), text_tokens, config.width
    patch = math.prod(config.patch)
    ends = n * patch * (2 * config.in_channels + config.out_channels) * d
    embedded = s * (config.text_dim + d) * d
    time = 2 * ((SINUSOID_DIM + d) * d + 6 * d * d)  # frame 0, and all other frames
    return config.depth * sum(dit_block(config, n, s)) + 2 * (ends + embedded + time)


def wan_step(config: WanDiTConfig, plan: Plan) -> float:
    """Bytes of one guided step of WanDiT, with text states and a clean latent as inputs."""
    states = config.text_tokens * config.text_dim * plan.itemsize
    forward = transformers.Forward(
        tokens=patches(config, plan.size.latent_shape),
        mlp_dim=config.mlp_dim,
        rotary=True,
        given=2 * (states + transformers.latent_bytes(config.in_channels, plan)),
    )
    return transformers.guided_step("wan_enhancer_dit", config, forward, plan)


_umt5 = functools.partial(transformers.t5, kind="umt5_encoder", tokens=WanDiTConfig.text_tokens)
COSTS = Costs(
    tasks=(
        Task("text encoder", "text", _umt5),
        Task("VAE encode", "vae", wan_cost.encode),
        Task("DiT step", "dit", wan_step),
        Task("VAE decode", "vae", wan_cost.decode),
    ),
    together=("vae", "dit"),  # both stay loaded for all windows
    tokens=patches,
    forward=wan_forward,
)
