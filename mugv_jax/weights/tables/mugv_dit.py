# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Table of MUGDiT, for the names of `dit.pt`.

RoPE rotates pairs of neighbouring components in the published layout and pairs across the halves of
a head in ours, so the head dimension of self-attention is read as (k r) and stored as (r k), r = 2.
"""

import re
from collections.abc import Mapping

from mugv_jax.nn.mugdit.sizes import DiTConfig
from mugv_jax.weights.table import Rule, Table

MAX_TEXT_TOKENS = 300


def _linear(name: str, path: str) -> tuple[Rule, Rule]:
    return (
        Rule(f"{name}.weight", f"params/{path}/kernel", "o i -> i o"),
        Rule(f"{name}.bias", f"params/{path}/bias"),
    )


def _self_attention(name: str, path: str) -> tuple[Rule, ...]:
    return (
        Rule(
            f"{name}.qkv.weight",
            f"params/{path}/qkv/kernel",
            "(three a k r) d -> d three a (r k)",
        ),
        Rule(f"{name}.qkv.bias", f"params/{path}/qkv/bias", "(three a k r) -> three a (r k)"),
        Rule(f"{name}.q_norm.weight", f"params/{path}/q_norm/scale", "(k r) -> (r k)"),
        Rule(f"{name}.k_norm.weight", f"params/{path}/k_norm/scale", "(k r) -> (r k)"),
        Rule(f"{name}.proj.weight", f"params/{path}/out/kernel", "d (a k r) -> a (r k) d"),
        Rule(f"{name}.proj.bias", f"params/{path}/out/bias"),
    )


def _cross_attention(name: str, path: str) -> tuple[Rule, ...]:
    return (
        Rule(f"{name}.q_linear.weight", f"params/{path}/q/kernel", "(a e) d -> d a e"),
        Rule(f"{name}.q_linear.bias", f"params/{path}/q/bias", "(a e) -> a e"),
        Rule(f"{name}.kv_linear.weight", f"params/{path}/kv/kernel", "(two a e) d -> d two a e"),
        Rule(f"{name}.kv_linear.bias", f"params/{path}/kv/bias", "(two a e) -> two a e"),
        Rule(f"{name}.q_norm.weight", f"params/{path}/q_norm/scale"),
        Rule(f"{name}.k_norm.weight", f"params/{path}/k_norm/scale"),
        Rule(f"{name}.proj.weight", f"params/{path}/out/kernel", "d (a e) -> a e d"),
        Rule(f"{name}.proj.bias", f"params/{path}/out/bias"),
    )


_BLOCK = "blocks.{layer}"

RULES = (
    Rule("start_token", "params/start_token"),
    Rule("end_token", "params/end_token"),
    Rule("x_embedder.proj.weight", "params/patch_embed/kernel", "d c pf ph pw -> (pf ph pw c) d"),
    Rule("x_embedder.proj.bias", "params/patch_embed/bias"),
    *_linear("t_embedder.mlp.0", "time_embed/up"),
    *_linear("t_embedder.mlp.2", "time_embed/down"),
    *_linear("fps_embedder.mlp.0", "fps_embed/up"),
    *_linear("fps_embedder.mlp.2", "fps_embed/down"),
    Rule("t_block.1.weight", "params/modulation/kernel", "(six d) i -> i six d"),
    Rule("t_block.1.bias", "params/modulation/bias", "(six d) -> six d"),
    *_linear("y_embedder.y_proj.fc1", "text_embed/mlp/up"),
    *_linear("y_embedder.y_proj.fc2", "text_embed/mlp/down"),
    Rule(f"{_BLOCK}.scale_shift_table", "params/blocks/scale_shift_table"),
    *_self_attention(f"{_BLOCK}.attn", "blocks/self_attention"),
    Rule(f"{_BLOCK}.cross_attn_norm.weight", "params/blocks/cross_norm/scale"),
    Rule(f"{_BLOCK}.cross_attn_norm.bias", "params/blocks/cross_norm/bias"),
    *_cross_attention(f"{_BLOCK}.cross_attn", "blocks/cross_attention"),
    *_linear(f"{_BLOCK}.mlp.fc1", "blocks/mlp/up"),
    *_linear(f"{_BLOCK}.mlp.fc2", "blocks/mlp/down"),
    Rule("final_layer.scale_shift_table", "params/final/scale_shift_table"),
    *_linear("final_layer.linear", "final/linear"),
)


def table(config: DiTConfig) -> Table:
    """Table of a MUGDiT with these sizes."""
    _, patch_h, patch_w = config.patch
    return Table(
        rules=RULES,
        layers=config.depth,
        sizes={
            "a": config.num_heads,
            "six": 6,
            "three": 3,
            "two": 2,
            "r": 2,
            "pf": 1,
            "ph": patch_h,
            "pw": patch_w,
        },
        # Features of a dropped caption in the training code; the released file lacks them.
        optional={"y_embedder.y_embedding": (MAX_TEXT_TOKENS, config.text_dim)},
    )


def infer_config(shapes: Mapping[str, tuple[int, ...]]) -> DiTConfig:
    """Config inferred from the shapes of a checkpoint.

    Raises:
        ValueError: tensors that determine the sizes are missing.
    """
    telling = ("x_embedder.proj.weight", "blocks.0.attn.q_norm.weight", "blocks.0.mlp.fc1.weight")
    telling += ("y_embedder.y_proj.fc1.weight",)
    missing = [name for name in telling if name not in shapes]
    if missing:
        raise ValueError(f"not a MUGDiT checkpoint: it has no {', '.join(missing)}.")
    width, in_channels, *patch = shapes[telling[0]]
    frames, rows, columns = patch
    blocks = (re.match(r"blocks\.(\d+)\.", name) for name in shapes)
    return DiTConfig(
        depth=1 + max(int(block[1]) for block in blocks if block),
        width=width,
        num_heads=width // shapes[telling[1]][0],
        in_channels=in_channels,
        patch=(frames, rows, columns),
        text_dim=shapes[telling[3]][1],
        mlp_ratio=shapes[telling[2]][0] / width,
    )


def config_from_published(published: Mapping) -> DiTConfig:
    """Config from the constructor arguments of the published class, as in golden cases."""
    return DiTConfig(
        depth=published["depth"],
        width=published["hidden_size"],
        num_heads=published["num_heads"],
        in_channels=published["input_channels"],
        patch=tuple(published["patch_size"]),
        text_dim=published["text_input_channels"],
        mlp_ratio=published["mlp_ratio"],
    )
