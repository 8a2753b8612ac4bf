# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Peak activations of the two transformers, per device: MUGDiT and T5."""

import math

from mugv_jax.flops import dit_tokens
from mugv_jax.memory.plan import FLOAT32, Plan, layer_weights, stacked_weights
from mugv_jax.nn.mugdit.config import DiTConfig
from mugv_jax.nn.text.t5 import T5Config
from mugv_jax.nn.text.tokenizer import MAX_TOKENS


def dit_step(config: DiTConfig, plan: Plan) -> float:
    """Bytes of one guided step of one video: its two forwards run one after the other.

        residual (n d) + max(heads (n a e) + scores, hidden (n m)) + vectors (n d) + RoPE + latents
            + keys and values (l s a e) of prompt and negative prompt

    n is split over "sequence", a and m over "tensor"; between attention and MLP, where a and m are
    not, n is split over both. Ulysses keeps (n a e) as small, by other axes.
    """
    live, itemsize = plan.live, plan.activation_itemsize
    every = dit_tokens(config, plan.size.latent_shape)
    n = -(-every // plan.parts("sequence"))
    between = -(-every // plan.parts("sequence", "tensor"))
    heads = n * plan.local(config.num_heads, "tensor") * config.head_dim * itemsize
    attention = live.heads * heads + live.scores * _score_bytes(config, plan, every)
    if config.num_heads % plan.parts("tensor", "sequence"):
        attention += 2 * (plan.parts("sequence") - 1) * heads  # keys and values of all tokens
    hidden = live.hidden * n * plan.local(config.mlp_dim, "tensor") * itemsize
    angles = n * config.head_dim * FLOAT32  # cos and sin of half of them
    latent = math.prod(plan.size.latent_shape) * config.in_channels * FLOAT32
    text = 4 * config.depth * MAX_TOKENS * plan.local(config.num_heads, "tensor")
    text *= config.head_dim * plan.itemsize
    relaid = 0.0
    if plan.parts("fsdp", "sequence") > 1:
        relaid = live.relaid * stacked_weights("mugv_dit", config, plan, "attention/")
    return (
        live.residual * between * config.width * itemsize
        + max(attention, hidden)
        + live.vectors * between * config.width * FLOAT32
        + angles
        + text
        + 4 * latent  # before and after the step, and two velocities
        + layer_weights("mugv_dit", config, plan)
        + relaid
    )


def _score_bytes(config: DiTConfig, plan: Plan, tokens: int) -> int:
    """Float32 scores that attention holds at once; cuDNN's, for 16-bit types, holds none."""
    if plan.platform == "gpu" and plan.itemsize < FLOAT32:
        return 0
    return min(plan.score_budget, FLOAT32 * config.num_heads * tokens * tokens)


def text_encoder(config: T5Config, plan: Plan) -> float:
    """Bytes of one prompt. Attention is float32 in every block, with copies of its weights."""
    s, heads = MAX_TOKENS, plan.local(config.num_heads, "tensor")
    states = 3 * s * config.width * FLOAT32  # the scan's carry, the running sum, normalised
    scores = heads * s * s * FLOAT32
    qkv_out = 4 * s * heads * config.head_dim * FLOAT32
    kernels = 4 * config.width * heads * config.head_dim * FLOAT32
    hidden = 3 * s * plan.local(config.mlp_dim, "tensor") * FLOAT32  # gate, up, product
    bias, attention = scores, qkv_out + 2 * scores + kernels
    taken = layer_weights("t5_encoder", config, plan)
    return states + bias + max(attention, hidden) + taken
