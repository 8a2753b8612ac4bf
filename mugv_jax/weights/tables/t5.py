# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Table of the T5 v1.1 encoder, for the names of a Hugging Face folder."""

import re
from collections.abc import Mapping
from typing import Any

from mugv_jax.nn.text.t5 import T5Config
from mugv_jax.weights.table import Rule, Table

TYPE = "t5"  # model_type in config.json
_BLOCK = "encoder.block.{layer}"
_ATTENTION = f"{_BLOCK}.layer.0.SelfAttention"
_MLP = f"{_BLOCK}.layer.1.DenseReluDense"
# All layers share the bias that the checkpoint stores with the first layer.
_RELATIVE_BIAS = "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
# Many files hold the token embedding twice; `T5EncoderModel` ties the two.
_DUPLICATE = "encoder.embed_tokens.weight"

RULES = (
    Rule("shared.weight", "params/token_embed"),
    Rule(_RELATIVE_BIAS, "params/relative_bias"),
    Rule(f"{_ATTENTION}.q.weight", "params/blocks/attention/q/kernel", "(a e) d -> d a e"),
    Rule(f"{_ATTENTION}.k.weight", "params/blocks/attention/k/kernel", "(a e) d -> d a e"),
    Rule(f"{_ATTENTION}.v.weight", "params/blocks/attention/v/kernel", "(a e) d -> d a e"),
    Rule(f"{_ATTENTION}.o.weight", "params/blocks/attention/out/kernel", "d (a e) -> a e d"),
    Rule(f"{_BLOCK}.layer.0.layer_norm.weight", "params/blocks/attention_norm/scale"),
    Rule(f"{_MLP}.wi_0.weight", "params/blocks/mlp/gate/kernel", "o i -> i o"),
    Rule(f"{_MLP}.wi_1.weight", "params/blocks/mlp/up/kernel", "o i -> i o"),
    Rule(f"{_MLP}.wo.weight", "params/blocks/mlp/down/kernel", "o i -> i o"),
    Rule(f"{_BLOCK}.layer.1.layer_norm.weight", "params/blocks/mlp_norm/scale"),
    Rule("encoder.final_layer_norm.weight", "params/final_norm/scale"),
)


def table(config: T5Config) -> Table:
    """Table of a T5 encoder with these sizes."""
    return Table(
        rules=RULES,
        layers=config.depth,
        sizes={"a": config.num_heads, "e": config.head_dim},
        optional={_DUPLICATE: (config.vocab_size, config.width)},
    )


def is_foreign(name: str) -> bool:
    """Whether `name` belongs to the decoder of a full encoder-decoder T5 file.

    Such tensors, `decoder.*` and the output projection `lm_head.*`, are not read. They do not
    count as unexpected, because they are not parts of the encoder.
    """
    return name.startswith(("decoder.", "lm_head."))


def infer_config(shapes: Mapping[str, tuple[int, ...]]) -> T5Config:
    """Config inferred from the shapes of a checkpoint.

    The relative position bias determines the number of heads. Its `max_distance` does not show in
    the shapes; it is 128 in every published T5.

    Raises:
        ValueError: tensors that determine the sizes are missing.
    """
    telling = (
        "shared.weight",
        _RELATIVE_BIAS,
        "encoder.block.0.layer.0.SelfAttention.q.weight",
        "encoder.block.0.layer.1.DenseReluDense.wi_0.weight",
    )
    missing = [name for name in telling if name not in shapes]
    if missing:
        raise ValueError(f"not a T5 v1.1 encoder checkpoint: it has no {', '.join(missing)}.")
    vocab_size, width = shapes[telling[0]]
    num_buckets, num_heads = shapes[telling[1]]
    blocks = (re.match(r"encoder\.block\.(\d+)\.", name) for name in shapes)
    return T5Config(
        vocab_size=vocab_size,
        width=width,
        head_dim=shapes[telling[2]][0] // num_heads,
        mlp_dim=shapes[telling[3]][0],
        depth=1 + max(int(block[1]) for block in blocks if block),
        num_heads=num_heads,
        num_buckets=num_buckets,
    )


def config_from_published(published: Mapping) -> T5Config:
    """Config from a Hugging Face `T5Config` as a dictionary (`config.json`, golden cases).

    Raises:
        ValueError: a variant of T5 other than v1.1.
    """
    feed_forward = published.get("feed_forward_proj", "relu")  # the default of the published class
    epsilon = published.get("layer_norm_epsilon", 1e-6)
    if feed_forward != "gated-gelu" or epsilon != 1e-6:
        raise ValueError(
            f"feed_forward_proj={feed_forward!r}, layer_norm_epsilon={epsilon}: only T5 v1.1 is "
            "supported, which has 'gated-gelu' and 1e-06."
        )
    return T5Config(
        vocab_size=published["vocab_size"],
        width=published["d_model"],
        head_dim=published["d_kv"],
        mlp_dim=published["d_ff"],
        depth=published["num_layers"],
        num_heads=published["num_heads"],
        num_buckets=published.get("relative_attention_num_buckets", 32),
        max_distance=published.get("relative_attention_max_distance", 128),
    )


def published_config(config: T5Config) -> dict[str, Any]:
    """`config.json` of a `T5EncoderModel`: the inverse of `config_from_published`."""
    return {
        "architectures": ["T5EncoderModel"],
        "model_type": TYPE,
        "feed_forward_proj": "gated-gelu",
        "layer_norm_epsilon": 1e-6,
        "is_encoder_decoder": False,
        "pad_token_id": 0,
        "eos_token_id": 1,
        "vocab_size": config.vocab_size,
        "d_model": config.width,
        "d_kv": config.head_dim,
        "d_ff": config.mlp_dim,
        "num_layers": config.depth,
        "num_heads": config.num_heads,
        "relative_attention_num_buckets": config.num_buckets,
        "relative_attention_max_distance": config.max_distance,
    }
