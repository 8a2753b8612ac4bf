# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Peak activations of the diffusion transformers, per device."""

import dataclasses
import math

from mugv_jax.cost import flops
from mugv_jax.cost.memory.plan import FLOAT32, Plan, layer_weights, stacked_weights
from mugv_jax.nn.mmdit.block import MLP_RATIO
from mugv_jax.nn.mmdit.model import MMDiTConfig
from mugv_jax.nn.mugdit.sizes import DiTConfig
from mugv_jax.nn.text.tokenizer import MAX_TOKENS
from mugv_jax.nn.wan.dit import WanDiTConfig
from mugv_jax.systems.contentv.models import TEXT_TOKENS


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Forward:
    """Sizes of one forward of one video.

    tokens: that attend to each other.  turned: by RoPE.  channels: of a latent.
    last_apart: the last block is another one than those of the scan.
    attention: what paths of attention's weights hold.  relaid: copies of them, in units of `live`.
    given: bytes of what the steps read beside the latent, for prompt and negative prompt.
    """

    tokens: int
    width: int
    num_heads: int
    head_dim: int
    mlp_dim: int
    turned: bool
    last_apart: bool = False
    attention: tuple[str, ...] = ("attention/",)
    relaid: float = 1
    channels: int
    given: int


def dit_step(config: DiTConfig, plan: Plan) -> float:
    """Bytes of one guided step of MUGDiT; its text comes as keys and values (l s a e)."""
    heads = plan.local(config.num_heads, "tensor")
    keys = config.depth * MAX_TOKENS * heads * config.head_dim * plan.itemsize
    forward = _Forward(
        tokens=flops.dit_tokens(config, plan.size.latent_shape),
        width=config.width,
        num_heads=config.num_heads,
        head_dim=config.head_dim,
        mlp_dim=config.mlp_dim,
        turned=True,
        channels=config.in_channels,
        given=2 * 2 * keys,
    )
    return _step("mugv_dit", config, forward, plan)


def wan_step(config: WanDiTConfig, plan: Plan) -> float:
    """Bytes of one guided step of WanDiT, which reads text and clean latent."""
    text = config.text_tokens * config.text_dim * plan.itemsize
    forward = _Forward(
        tokens=flops.patches(config, plan.size.latent_shape),
        width=config.width,
        num_heads=config.num_heads,
        head_dim=config.width // config.num_heads,
        mlp_dim=config.mlp_dim,
        turned=True,
        channels=config.in_channels,
        given=2 * (text + _latent(config.in_channels, plan)),
    )
    return _step("wan_enhancer_dit", config, forward, plan)


def mmdit_step(config: MMDiTConfig, plan: Plan) -> float:
    """Bytes of one guided step of MM-DiT, whose text goes through all blocks as the video does."""
    forward = _Forward(
        tokens=flops.patches(config, plan.size.latent_shape) + TEXT_TOKENS,
        width=config.width,
        num_heads=config.num_heads,
        head_dim=config.head_dim,
        mlp_dim=MLP_RATIO * config.width,
        turned=False,
        last_apart=True,
        attention=("/q/", "/k/", "/v/", "/out/"),
        relaid=2,  # heads of 64 channels fill half of a TPU's lanes
        channels=config.in_channels,
        given=2 * TEXT_TOKENS * config.text_dim * FLOAT32,
    )
    return _step("contentv_dit", config, forward, plan)


def _latent(channels: int, plan: Plan) -> int:
    return math.prod(plan.size.latent_shape) * channels * FLOAT32


def _step(
    kind: str, config: DiTConfig | WanDiTConfig | MMDiTConfig, of: _Forward, plan: Plan
) -> float:
    """Bytes of one guided step of one video: its two forwards run one after the other.

        residual (n d) + max(heads (n a e) + scores, hidden (n m)) + vectors (n d) + RoPE + latents
            + what is given

    n is split over "sequence", a and m over "tensor"; between attention and MLP, where a and m are
    not, n is split over both. Ulysses keeps (n a e) as small, by other axes.
    """
    live, itemsize = plan.live, plan.activation_itemsize
    n = -(-of.tokens // plan.parts("sequence"))
    between = -(-of.tokens // plan.parts("sequence", "tensor"))
    heads = n * plan.local(of.num_heads, "tensor") * of.head_dim * itemsize
    attention = live.heads * heads + live.scores * _score_bytes(of, plan)
    if of.num_heads % plan.parts("tensor", "sequence"):
        attention += 2 * (plan.parts("sequence") - 1) * heads  # keys and values of all tokens
    hidden = live.hidden * n * plan.local(of.mlp_dim, "tensor") * itemsize
    angles = n * of.head_dim * FLOAT32 if of.turned else 0  # cos and sin of half of them
    apart = live.apart if of.last_apart and plan.mesh.size == 1 else 0
    relaid = 0.0
    if plan.parts("fsdp", "sequence") > 1:
        relaid = live.relaid * of.relaid * stacked_weights(kind, config, plan, of.attention)
    return (
        (live.residual + apart) * between * of.width * itemsize
        + max(attention, hidden)
        + live.vectors * between * of.width * FLOAT32
        + angles
        + of.given
        + 4 * _latent(of.channels, plan)  # before and after the step, and two velocities
        + layer_weights(kind, config, plan)
        + relaid
    )


def _score_bytes(of: _Forward, plan: Plan) -> int:
    """Float32 scores that attention holds at once; cuDNN's, for 16-bit types, holds none."""
    if plan.platform == "gpu" and plan.itemsize < FLOAT32:
        return 0
    return min(plan.score_budget, FLOAT32 * of.num_heads * of.tokens * of.tokens)
