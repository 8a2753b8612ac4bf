# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Floating point operations of the diffusion transformers, counted from their sizes (a product and
its sum are two).

    forward = 2 (weights touched) tokens + depth (4 n^2 d + 4 n s d)     MUGDiT, WanDiT
    forward = 2 (weights touched) tokens + depth 4 (n + s)^2 d           MM-DiT
    step    = 3 forward, for every sample

Norms, softmax and other small change are left out. The backward pass has two products for each one
of the forward pass. What a step computes again to save memory is no work of the model: MFU leaves
it out, and `recomputed` counts it. The compiler's own count sees a scanned block once and no
kernel's inside, so it cannot tell.
"""

import math
from typing import NamedTuple

from mugv_jax.nn.dit.embed import SINUSOID_DIM
from mugv_jax.nn.mmdit.block import MLP_RATIO
from mugv_jax.nn.mmdit.model import MMDiTConfig
from mugv_jax.nn.mugdit.sizes import DiTConfig
from mugv_jax.nn.wan.dit import WanDiTConfig

# Rematerialisation policy -> parts of a block that the backward pass computes once more.
RECOMPUTED = {
    "none": (),
    "dots": (),
    "attention": ("products",),
    "offload": ("products",),
    "full": ("products", "attention"),
}


class BlockFlops(NamedTuple):
    """Of one block's forward pass over one sample.

    products: of the video tokens and weights, and of the text and its weights.
    attention: of scores and of values, to video and to text.
    """

    products: int
    attention: int


def patches(
    config: DiTConfig | WanDiTConfig | MMDiTConfig, latent_shape: tuple[int, int, int]
) -> int:
    """Patches of a latent (f, h, w): the video tokens of WanDiT and of MM-DiT."""
    return math.prod(-(-size // patch) for size, patch in zip(latent_shape, config.patch))


def dit_tokens(config: DiTConfig, latent_shape: tuple[int, int, int]) -> int:
    """MUGDiT's video tokens of a latent (f, h, w), start and end token included."""
    return patches(config, latent_shape) + 2


def dit_block(config: DiTConfig | WanDiTConfig, tokens: int, text_tokens: int) -> BlockFlops:
    """Of one block."""
    n, s, d = tokens, text_tokens, config.width
    weights = n * (6 * d * d + 2 * d * config.mlp_dim) + s * 2 * d * d
    return BlockFlops(products=2 * weights, attention=4 * n * n * d + 4 * n * s * d)


def dit_forward(config: DiTConfig, latent_shape: tuple[int, int, int], text_tokens: int) -> int:
    """Of one forward of one sample through MUGDiT."""
    n, s, d = dit_tokens(config, latent_shape), text_tokens, config.width
    groups = latent_shape[0] + 2  # the frames, and the two ends: one time each
    patch = math.prod(config.patch)
    ends = (n - 2) * patch * config.in_channels * d + n * patch * config.out_channels * d
    text = s * (config.text_dim + d) * d
    scalar = (SINUSOID_DIM + d) * d  # of each time, and of the frame rate
    time = (groups + 1) * scalar + groups * 6 * d * d
    return config.depth * sum(dit_block(config, n, s)) + 2 * (ends + text + time)


def wan_forward(config: WanDiTConfig, latent_shape: tuple[int, int, int]) -> int:
    """Of one forward of one sample through WanDiT, clean latents beside the noisy ones."""
    n, s, d = patches(config, latent_shape), config.text_tokens, config.width
    patch = math.prod(config.patch)
    ends = n * patch * (2 * config.in_channels + config.out_channels) * d
    text = s * (config.text_dim + d) * d
    time = 2 * ((SINUSOID_DIM + d) * d + 6 * d * d)  # of frame 0, and of the others
    return config.depth * sum(dit_block(config, n, s)) + 2 * (ends + text + time)


def mmdit_forward(config: MMDiTConfig, latent_shape: tuple[int, int, int], text_tokens: int) -> int:
    """Of one forward of one sample through MM-DiT."""
    n, s, d = patches(config, latent_shape), text_tokens, config.width
    layer = (4 + 2 * MLP_RATIO) * d * d
    modulation = 2 * 6 * d * d  # of video and of text
    blocks = config.depth * ((n + s) * layer + modulation)
    # The last block makes nothing of the text but queries, keys and values.
    blocks -= s * (layer - 3 * d * d) + 4 * d * d
    ends = n * math.prod(config.patch) * (config.in_channels + config.out_channels) * d
    text = s * config.text_dim * d
    embed = (SINUSOID_DIM + d) * d + (config.pooled_dim + d) * d + 2 * d * d  # and of the end
    attention = config.depth * 4 * (n + s) ** 2 * d
    return attention + 2 * (blocks + ends + text + embed)


class StepFlops(NamedTuple):
    """Of one sample's part in a training step."""

    forward: int
    backward: int
    recomputed: int

    @property
    def model(self) -> int:
        """What MFU counts."""
        return self.forward + self.backward

    @property
    def hardware(self) -> int:
        """What is computed."""
        return self.model + self.recomputed


def train_step(
    config: DiTConfig,
    latent_shape: tuple[int, int, int],
    text_tokens: int,
    *,
    remat: str = "none",
) -> StepFlops:
    """MUGDiT's forward and backward pass of one sample, under a policy of `nn/dit/remat.py`."""
    forward = dit_forward(config, latent_shape, text_tokens)
    block = dit_block(config, dit_tokens(config, latent_shape), text_tokens)
    recomputed = sum(getattr(block, part) for part in RECOMPUTED[remat])
    return StepFlops(forward, 2 * forward, config.depth * recomputed)


def text(count: int) -> str:
    """A number of operations with its unit, such as "2.9 PFLOP"."""
    power = min(max(len(str(count)) - 1, 9) // 3, 6)
    return f"{count / 1000**power:.3g} {' KMGTPE'[power]}FLOP"
