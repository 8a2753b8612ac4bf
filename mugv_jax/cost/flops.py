# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Floating-point operations of diffusion transformers, counted from their sizes.

A product and its sum are two operations. What is common to all networks is here; the forward pass
of a whole network is counted in its system's `cost.py`.

    block   = 2 (weights touched) tokens + 4 n^2 d + 4 n s d
    step    = 3 forward                  for every sample

Norms, softmax and other elementwise work are left out. The backward pass has two products for each
one of the forward pass. What a training step computes again to save memory is not the model's work:
MFU leaves it out, and `StepFlops.recomputed` counts it. The compiler's own count sees a scanned
block once and nothing inside a kernel, so it cannot be used.
"""

import math
from typing import NamedTuple

from mugv_jax.nn.dit.sizes import BlockSizes, DiTSizes

LatentShape = tuple[int, int, int]  # (f, h, w)

# Rematerialisation policy of `nn/dit/remat.py` -> parts of a block computed again backwards.
RECOMPUTED = {
    "none": (),
    "dots": (),
    "attention": ("products",),
    "offload": ("products",),
    "full": ("products", "attention"),
}


class BlockFlops(NamedTuple):
    """Operations of one block's forward pass over one sample.

    products: products with weights, of the video tokens and of the text.
    attention: scores and weighted sums, over video and text.
    """

    products: int
    attention: int


class StepFlops(NamedTuple):
    """Operations of a training step for one sample."""

    forward: int
    backward: int
    recomputed: int

    @property
    def model(self) -> int:
        """Operations that MFU counts."""
        return self.forward + self.backward

    @property
    def hardware(self) -> int:
        """Operations that the device executes, recomputation included."""
        return self.model + self.recomputed


def patches(config: DiTSizes, latent_shape: LatentShape) -> int:
    """Number of patches of a latent; `config` has the field `patch`, (f, h, w)."""
    return math.prod(-(-size // patch) for size, patch in zip(latent_shape, config.patch))


def dit_block(config: BlockSizes, tokens: int, text_tokens: int) -> BlockFlops:
    """Operations of one block of self-attention, cross-attention and MLP (MUGDiT's, WanDiT's).

    config: its fields `width` and `mlp_dim` are read.
    """
    n, s, d = tokens, text_tokens, config.width
    weights = n * (6 * d * d + 2 * d * config.mlp_dim) + s * 2 * d * d
    return BlockFlops(products=2 * weights, attention=4 * n * n * d + 4 * n * s * d)


def step_of(forward: int, block: BlockFlops, depth: int, *, remat: str) -> StepFlops:
    """Operations of a training step from those of a forward pass and of one of its blocks."""
    recomputed = sum(getattr(block, part) for part in RECOMPUTED[remat])
    return StepFlops(forward, 2 * forward, depth * recomputed)


def text(count: int) -> str:
    """A number of operations with its unit, such as "2.9 PFLOP"."""
    power = min(max(len(str(count)) - 1, 9) // 3, 6)
    return f"{count / 1000**power:.3g} {' KMGTPE'[power]}FLOP"
