# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Peak activations of text encoders on one device; they read one text at a time."""

from mugv_jax.cost.memory.live import FLOAT32
from mugv_jax.cost.memory.plan import Plan, layer_weights
from mugv_jax.nn.text.clip import ClipTextConfig
from mugv_jax.nn.text.t5 import T5Config


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
