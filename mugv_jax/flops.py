# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Floating point operations of MUGDiT, counted from its sizes (a product and its sum are two).

    2 (weights touched) tokens + depth (4 n^2 d + 4 n s d)

The compiler's own count sees a scanned block once and no kernel's inside, so it cannot tell.
"""

import math

from mugv_jax.nn.mugdit.config import DiTConfig
from mugv_jax.nn.mugdit.embed import SINUSOID_DIM


def dit_tokens(config: DiTConfig, latent_shape: tuple[int, int, int]) -> int:
    """Video tokens of a latent (f, h, w), start and end token included."""
    counts = (-(-size // patch) for size, patch in zip(latent_shape, config.patch))
    return math.prod(counts) + 2


def dit_forward(config: DiTConfig, latent_shape: tuple[int, int, int], text_tokens: int) -> int:
    """Of one forward of one sample; norms, softmax and other small change are left out."""
    n, s, d = dit_tokens(config, latent_shape), text_tokens, config.width
    groups = latent_shape[0] + 2  # the frames, and the two ends: one time each
    patch = math.prod(config.patch)
    blocks = n * config.depth * (6 * d * d + 2 * d * config.mlp_dim)
    ends = (n - 2) * patch * config.in_channels * d + n * patch * config.out_channels * d
    text = s * (config.depth * 2 * d * d + (config.text_dim + d) * d)
    scalar = (SINUSOID_DIM + d) * d  # of each time, and of the frame rate
    time = (groups + 1) * scalar + groups * 6 * d * d
    attention = config.depth * (4 * n * n * d + 4 * n * s * d)
    return 2 * (blocks + ends + text + time) + attention
