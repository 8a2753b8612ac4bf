# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Tables of the UMT5 encoder: names of Wan's `models_t5_umt5-xxl-enc-bf16.pth`, or of transformers.

T5 shares one position bias among its layers; every layer of UMT5 has its own.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from mugv_jax.nn.text.t5 import T5Config
from mugv_jax.weights.table import Rule, Shapes, Table
from mugv_jax.weights.tables import t5
from mugv_jax.weights.tables.layers import FROM_HEADS, TO_HEADS, count
from mugv_jax.weights.tables.t5 import inferred

TYPE = "umt5"  # model_type in config.json of transformers
_BLOCK = "blocks.{layer}"
_BIAS = "params/blocks/relative_bias"

RULES = (
    Rule("token_embedding.weight", "params/token_embed"),
    Rule(f"{_BLOCK}.pos_embedding.embedding.weight", _BIAS),
    *(
        Rule(f"{_BLOCK}.attn.{x}.weight", f"params/blocks/attention/{x}/kernel", TO_HEADS[0])
        for x in "qkv"
    ),
    Rule(f"{_BLOCK}.attn.o.weight", "params/blocks/attention/out/kernel", FROM_HEADS),
    Rule(f"{_BLOCK}.norm1.weight", "params/blocks/attention_norm/scale"),
    Rule(f"{_BLOCK}.ffn.gate.0.weight", "params/blocks/mlp/gate/kernel", "o i -> i o"),
    Rule(f"{_BLOCK}.ffn.fc1.weight", "params/blocks/mlp/up/kernel", "o i -> i o"),
    Rule(f"{_BLOCK}.ffn.fc2.weight", "params/blocks/mlp/down/kernel", "o i -> i o"),
    Rule(f"{_BLOCK}.norm2.weight", "params/blocks/mlp_norm/scale"),
    Rule("norm.weight", "params/final_norm/scale"),
)


def table(config: T5Config) -> Table:
    """Table of a UMT5 encoder with these sizes."""
    sizes = {"a": config.num_heads, "e": config.head_dim}
    return Table(rules=RULES, layers=config.depth, sizes=sizes)


def infer_config(shapes: Shapes) -> T5Config:
    """Config inferred from the shapes of a checkpoint; `max_distance` is the published 128."""
    layers = ("pos_embedding.embedding", "attn.q", "ffn.gate.0")
    layers = ("token_embedding", *(f"blocks.0.{name}" for name in layers))
    depth = count(shapes, "blocks.")
    return inferred(shapes, "a UMT5 encoder checkpoint", layers, depth, shared_bias=False)


def config_from_published(published: Mapping) -> T5Config:
    """Config from the constructor arguments of Wan's `T5Encoder`.

    Raises:
        ValueError: a position bias shared by all layers, as in T5.
    """
    if published["shared_pos"]:
        raise ValueError("shared_pos=True: UMT5's layers have a position bias of their own.")
    return T5Config(
        vocab_size=published["vocab"],
        width=published["dim"],
        head_dim=published["dim_attn"] // published["num_heads"],
        mlp_dim=published["dim_ffn"],
        depth=published["num_layers"],
        num_heads=published["num_heads"],
        num_buckets=published["num_buckets"],
        shared_bias=False,
    )


# The same with the names of `UMT5EncoderModel`.
TRANSFORMERS_RULES = (
    t5.EMBEDDING_RULE,
    Rule(f"{t5.ATTENTION}.{t5.BIAS}.weight", _BIAS),
    *t5.LAYER_RULES,
)


def transformers_table(config: T5Config) -> Table:
    """Table of a UMT5 encoder with these sizes, for the names of transformers."""
    return t5.table(config, TRANSFORMERS_RULES)


def infer_transformers_config(shapes: Shapes) -> T5Config:
    """Config inferred from the shapes of a checkpoint with the names of transformers.

    Raises:
        ValueError: missing tensors, among them the position bias of the second layer.
    """
    second = f"{t5.ATTENTION}.{t5.BIAS}".format(layer=1)
    depth = count(shapes, "encoder.block.")
    layers = (*t5.telling(), second)
    return inferred(shapes, "a UMT5 encoder checkpoint", layers, depth, shared_bias=False)


def config_from_transformers(published: Mapping) -> T5Config:
    """Config from transformers' `UMT5Config` as a dictionary (`config.json`).

    Raises:
        ValueError: another feed-forward layer or epsilon than T5 v1.1 has.
    """
    return dataclasses.replace(t5.config_from_published(published), shared_bias=False)


def published_config(config: T5Config) -> dict[str, Any]:
    """`config.json` of a `UMT5EncoderModel`: the inverse of `config_from_transformers`."""
    return {
        **t5.published_config(config),
        "architectures": ["UMT5EncoderModel"],
        "model_type": TYPE,
    }
