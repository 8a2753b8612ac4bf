# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Memory and arithmetic of ContentV: two CLIPs, T5, MM-DiT and the Wan VAE.

forward = 2 (weights touched) tokens + depth 4 (n + s)^2 d
"""

import functools
import math

from mugv_jax.cost.costs import Costs, Task
from mugv_jax.cost.flops import LatentShape, patches
from mugv_jax.cost.memory import transformers
from mugv_jax.cost.memory.live import FLOAT32
from mugv_jax.cost.memory.plan import Plan
from mugv_jax.nn.dit.embed import SINUSOID_DIM
from mugv_jax.nn.mmdit.block import MLP_RATIO
from mugv_jax.nn.mmdit.model import MMDiTConfig
from mugv_jax.systems import wan_cost
from mugv_jax.systems.contentv.denoiser import T5_TOKENS, TEXT_TOKENS


def mmdit_forward(config: MMDiTConfig, latent_shape: LatentShape, text_tokens: int) -> int:
    """Floating-point operations of one forward pass of one sample through MM-DiT."""
    n, s, d = patches(config, latent_shape), text_tokens, config.width
    layer = (4 + 2 * MLP_RATIO) * d * d
    modulation = 2 * 6 * d * d  # video and text
    blocks = config.depth * ((n + s) * layer + modulation)
    # The last block computes only queries, keys and values of the text.
    blocks -= s * (layer - 3 * d * d) + 4 * d * d
    ends = n * math.prod(config.patch) * (config.in_channels + config.out_channels) * d
    embedded = s * config.text_dim * d
    embed = (SINUSOID_DIM + d) * d + (config.pooled_dim + d) * d + 2 * d * d  # and final
    attention = config.depth * 4 * (n + s) ** 2 * d
    return attention + 2 * (blocks + ends + embedded + embed)


def mmdit_step(config: MMDiTConfig, plan: Plan) -> float:
    """Bytes of one guided step of MM-DiT, whose blocks process text and video together."""
    forward = transformers.Forward(
        tokens=patches(config, plan.size.latent_shape) + TEXT_TOKENS,
        mlp_dim=MLP_RATIO * config.width,
        rotary=False,
        last_apart=True,
        attention=("/q/", "/k/", "/v/", "/out/"),
        relaid=2,  # heads of 64 channels fill half of a TPU's lanes
        given=2 * TEXT_TOKENS * config.text_dim * FLOAT32,
    )
    return transformers.guided_step("contentv_dit", config, forward, plan)


COSTS = Costs(
    tasks=(
        Task("CLIP", "clip_l", transformers.clip),
        Task("second CLIP", "clip_g", transformers.clip),
        Task("T5", "text", functools.partial(transformers.t5, kind="t5_encoder", tokens=T5_TOKENS)),
        Task("DiT step", "dit", mmdit_step),
        Task("VAE decode", "vae", wan_cost.decode),
    ),
    tokens=patches,
    forward=mmdit_forward,
)
