# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Table of MUGDiT, for the names of `dit.pt`.

RoPE rotates pairs of neighbouring components in the published layout and pairs across the halves of
a head in ours, so the head dimension of self-attention is read as (k r) and stored as (r k), r = 2.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from mugv_jax.nn.mugdit.sizes import DiTConfig
from mugv_jax.weights.table import Rule, Shapes, Table
from mugv_jax.weights.tables.layers import (
    FROM_HEADS,
    TO_HEADS,
    count,
    linear,
    norm,
    split,
    weight_shapes,
    whole,
)

CLASS = "MUGDiT"
MAX_TEXT_TOKENS = 300
_BLOCK = "blocks.{layer}"
_SELF, _CROSS = f"{_BLOCK}.attn", f"{_BLOCK}.cross_attn"

RULES = (
    Rule("start_token", "params/start_token"),
    Rule("end_token", "params/end_token"),
    *linear("x_embedder.proj", "patch_embed", "d c pf ph pw -> (pf ph pw c) d"),
    *linear("t_embedder.mlp.0", "time_embed/up"),
    *linear("t_embedder.mlp.2", "time_embed/down"),
    *linear("fps_embedder.mlp.0", "fps_embed/up"),
    *linear("fps_embedder.mlp.2", "fps_embed/down"),
    *linear("t_block.1", "modulation", "(six d) i -> i six d", "(six d) -> six d"),
    *linear("y_embedder.y_proj.fc1", "text_embed/mlp/up"),
    *linear("y_embedder.y_proj.fc2", "text_embed/mlp/down"),
    Rule(f"{_BLOCK}.scale_shift_table", "params/blocks/scale_shift_table"),
    *linear(
        f"{_SELF}.qkv",
        "blocks/self_attention/qkv",
        "(three a k r) d -> d three a (r k)",
        "(three a k r) -> three a (r k)",
    ),
    Rule(f"{_SELF}.q_norm.weight", "params/blocks/self_attention/q_norm/scale", "(k r) -> (r k)"),
    Rule(f"{_SELF}.k_norm.weight", "params/blocks/self_attention/k_norm/scale", "(k r) -> (r k)"),
    *linear(f"{_SELF}.proj", "blocks/self_attention/out", "d (a k r) -> a (r k) d"),
    *norm(f"{_BLOCK}.cross_attn_norm", "blocks/cross_norm"),
    *linear(f"{_CROSS}.q_linear", "blocks/cross_attention/q", *TO_HEADS),
    *linear(
        f"{_CROSS}.kv_linear",
        "blocks/cross_attention/kv",
        "(two a e) d -> d two a e",
        "(two a e) -> two a e",
    ),
    Rule(f"{_CROSS}.q_norm.weight", "params/blocks/cross_attention/q_norm/scale"),
    Rule(f"{_CROSS}.k_norm.weight", "params/blocks/cross_attention/k_norm/scale"),
    *linear(f"{_CROSS}.proj", "blocks/cross_attention/out", FROM_HEADS),
    *linear(f"{_BLOCK}.mlp.fc1", "blocks/mlp/up"),
    *linear(f"{_BLOCK}.mlp.fc2", "blocks/mlp/down"),
    Rule("final_layer.scale_shift_table", "params/final/scale_shift_table"),
    *linear("final_layer.linear", "final/linear"),
)
_FORMS = ("*", "to_*", "*_proj", "*_linear")  # of q, k and v
# Names of layers in adapters for q, k and v apart.
SPELLINGS = (
    *split(f"{_SELF}.", f"{_SELF}.qkv", "qkv", _FORMS),
    *split(f"{_CROSS}.", f"{_CROSS}.kv_linear", "kv", _FORMS),
    *(whole(f"{_CROSS}.{name}", f"{_CROSS}.q_linear") for name in ("q", "to_q", "q_proj")),
    *(whole(f"{_CROSS}.{name}", f"{_CROSS}.kv_linear") for name in ("kv", "to_kv", "kv_proj")),
    *(whole(f"{_SELF}.{name}", f"{_SELF}.qkv") for name in ("to_qkv", "qkv_proj")),
    *(whole(f"{each}.to_out.0", f"{each}.proj") for each in (_SELF, _CROSS)),
)


def table(config: DiTConfig) -> Table:
    """Table of a MUGDiT with these sizes."""
    sizes = {"a": config.num_heads, "six": 6, "three": 3, "two": 2, "r": 2}
    return Table(
        rules=RULES,
        layers=config.depth,
        sizes=sizes | dict(zip(("pf", "ph", "pw"), config.patch)),
        # Features of a dropped caption in the training code; the released file lacks them.
        optional={"y_embedder.y_embedding": (MAX_TEXT_TOKENS, config.text_dim)},
    )


def infer_config(shapes: Shapes) -> DiTConfig:
    """Config inferred from the shapes of a checkpoint."""
    layers = ("x_embedder.proj", "blocks.0.attn.q_norm", "blocks.0.mlp.fc1")
    layers += ("y_embedder.y_proj.fc1",)
    patches, norm_q, up, text = weight_shapes(shapes, "a MUGDiT checkpoint", *layers)
    width, in_channels, frames, rows, columns = patches
    return DiTConfig(
        depth=count(shapes, "blocks."),
        width=width,
        num_heads=width // norm_q[0],
        in_channels=in_channels,
        patch=(frames, rows, columns),
        text_dim=text[1],
        mlp_ratio=up[0] / width,
    )


def published_config(config: DiTConfig) -> dict[str, Any]:
    """`config.json` beside the weights, for people: all of it also follows from the shapes."""
    return {"_class_name": CLASS, **dataclasses.asdict(config)}


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
