# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Memory and arithmetic of Wan2.1's DiT and of UMT5, for all systems that have them.

forward = 2 (weights touched) tokens + depth (4 n^2 d + 4 n s d)
"""

import functools
import math

from mugv_jax.cost.flops import LatentShape, dit_block, patches
from mugv_jax.cost.memory import transformers
from mugv_jax.cost.memory.plan import Plan
from mugv_jax.nn.dit.embed import SINUSOID_DIM
from mugv_jax.nn.wan.dit import WanDiTConfig


def forward(
    config: WanDiTConfig, latent_shape: LatentShape, text_tokens: int, *, videos: int
) -> int:
    """Floating-point operations of one forward pass of one sample.

    videos: latents that are embedded, each with a time of its own.
    """
    n, s, d = patches(config, latent_shape), text_tokens, config.width
    patch = math.prod(config.patch)
    ends = n * patch * (videos * config.in_channels + config.out_channels) * d
    embedded = s * (config.text_dim + d) * d
    time = videos * ((SINUSOID_DIM + d) * d + 6 * d * d)
    return config.depth * sum(dit_block(config, n, s)) + 2 * (ends + embedded + time)


def step(config: WanDiTConfig, plan: Plan, *, kind: str, videos: int) -> float:
    """Bytes of one guided step, whose inputs are text states and latents beside the noisy one.

    kind: name of the DiT in the registry.
    videos: as in `forward`.
    """
    states = config.text_tokens * config.text_dim * plan.itemsize
    beside = (videos - 1) * transformers.latent_bytes(config.in_channels, plan)
    pass_ = transformers.Forward(
        tokens=patches(config, plan.size.latent_shape),
        mlp_dim=config.mlp_dim,
        rotary=True,
        given=2 * (states + beside),
    )
    return transformers.guided_step(kind, config, pass_, plan)


def umt5(kind: str) -> functools.partial[float]:
    """Counter of the bytes of UMT5; `kind` is its name in the registry."""
    return functools.partial(transformers.t5, kind=kind, tokens=WanDiTConfig.text_tokens)
