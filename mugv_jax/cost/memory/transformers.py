# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Peak activations of transformers on one device: a diffusion step, and text encoders.

Text encoders read one text at a time.
"""

import dataclasses
import math
from typing import Any

from mugv_jax.cost.memory.live import FLOAT32
from mugv_jax.cost.memory.plan import Plan, layer_weights, stacked_weights
from mugv_jax.nn.quantize import PRODUCTS, ROWS
from mugv_jax.nn.text.clip import ClipTextConfig
from mugv_jax.nn.text.t5 import T5Config


@dataclasses.dataclass(frozen=True, kw_only=True)
class Forward:
    """Sizes of one forward pass over one video.

    tokens: number of tokens that attend to each other.
    rotary: queries and keys are rotated by RoPE.
    last_apart: the last block is not one of the scan's.
    attention: parts of paths that mark attention's weights.
    relaid: copies of these weights, in units of `Live.relaid`.
    given: bytes of what a step reads beside the latent, for prompt and negative prompt together.
    """

    tokens: int
    mlp_dim: int
    rotary: bool
    last_apart: bool = False
    attention: tuple[str, ...] = ("attention/",)
    relaid: float = 1
    given: int


# Float32 copies of the hidden layer around 8-bit products: their sums, scaled and rounded again. Of
# the program of the 10B's guided step compiled for an H200, there when all tokens are multiplied at
# once, as on several devices; on one device two of ROWS tokens.
PRODUCT_COPIES = 4


def guided_step(kind: str, config: Any, forward: Forward, plan: Plan) -> float:
    """Bytes of one guided step of one video: its two forward passes run one after the other.

        residual (n d) + max(heads (n a e) + scores, hidden (n m)) + vectors (n d) + RoPE + latents
            + what is given

    n is split over "sequence", a and m over "tensor". Between attention and MLP there are no a and
    m, and n is split over both. Ulysses keeps (n a e) as small, by other axes.

    kind, config: name in the registry and sizes of the transformer.
    """
    live, itemsize = plan.live, plan.activation_itemsize
    n = -(-forward.tokens // plan.parts("sequence"))
    between = -(-forward.tokens // plan.parts("sequence", "tensor"))
    head_dim = config.width // config.num_heads
    heads = n * plan.local(config.num_heads, "tensor") * head_dim * itemsize
    scores = FLOAT32 * config.num_heads * forward.tokens * forward.tokens
    if plan.platform == "gpu" and plan.itemsize < FLOAT32:
        scores = 0  # cuDNN holds none
    attention = live.heads * heads + live.scores * min(plan.score_budget, scores)
    if config.num_heads % plan.parts("tensor", "sequence"):
        attention += 2 * (plan.parts("sequence") - 1) * heads  # keys and values of all tokens
    hidden = live.hidden * n * plan.local(forward.mlp_dim, "tensor") * itemsize
    if plan.quantize in PRODUCTS:
        rows = 2 * min(n, ROWS) if plan.mesh.size == 1 else PRODUCT_COPIES * n
        hidden += rows * plan.local(forward.mlp_dim, "tensor") * FLOAT32
    angles = n * head_dim * FLOAT32 if forward.rotary else 0  # cos and sin of half of them
    apart = live.apart if forward.last_apart and plan.mesh.size == 1 else 0
    relaid = 0.0
    if plan.parts("fsdp", "sequence") > 1:
        copies = live.relaid * forward.relaid
        relaid = copies * stacked_weights(kind, config, plan, forward.attention)
    return (
        (live.residual + apart) * between * config.width * itemsize
        + max(attention, hidden)
        + live.vectors * between * config.width * FLOAT32
        + angles
        + forward.given
        + 4 * latent_bytes(config.in_channels, plan)  # before and after the step, two velocities
        + layer_weights(kind, config, plan)
        + relaid
    )


def latent_bytes(channels: int, plan: Plan) -> int:
    """Bytes of a float32 latent of the planned video."""
    return math.prod(plan.size.latent_shape) * channels * FLOAT32


def t5(config: T5Config, plan: Plan, *, kind: str, tokens: int) -> float:
    """Bytes that T5 or UMT5 needs to read one prompt of `tokens` tokens.

    Attention is float32 in every block, with float32 copies of its weights.
    """
    s, heads = tokens, plan.local(config.num_heads, "tensor")
    states = 3 * s * config.width * FLOAT32  # the scan's carry, the running sum, normalised
    scores = heads * s * s * FLOAT32
    qkv_out = 4 * s * heads * config.head_dim * FLOAT32
    kernels = 4 * config.width * heads * config.head_dim * FLOAT32
    hidden = 3 * s * plan.local(config.mlp_dim, "tensor") * FLOAT32  # gate, up, product
    bias = scores if config.shared_bias else 0  # else it is one with the scores
    attention = qkv_out + 2 * scores + kernels
    return states + bias + max(attention, hidden) + layer_weights(kind, config, plan)


def clip(config: ClipTextConfig, plan: Plan) -> float:
    """Bytes that CLIP needs to read one prompt: the input of every layer is kept."""
    s, heads = config.length, plan.local(config.num_heads, "tensor")
    states = (config.depth + 3) * s * config.width * FLOAT32
    qkv_out = 4 * s * heads * (config.width // config.num_heads) * plan.activation_itemsize
    attention = qkv_out + 2 * heads * s * s * FLOAT32
    hidden = 2 * s * plan.local(config.mlp_dim, "tensor") * FLOAT32  # before and after GELU
    return states + max(attention, hidden) + layer_weights("clip_text", config, plan)
