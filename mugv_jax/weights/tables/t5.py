# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Table of the T5 v1.1 encoder, for the names of a Hugging Face folder."""

from collections.abc import Iterable, Mapping
from typing import Any

from mugv_jax.nn.text.t5 import T5Config
from mugv_jax.weights.table import Rule, Shapes, Table
from mugv_jax.weights.tables.layers import FROM_HEADS, TO_HEADS, count, weight_shapes

TYPE = "t5"  # model_type in config.json
_BLOCKS = "encoder.block."
_BLOCK = f"{_BLOCKS}{{layer}}"
ATTENTION = f"{_BLOCK}.layer.0.SelfAttention"
_MLP = f"{_BLOCK}.layer.1.DenseReluDense"
# All layers share the bias that the checkpoint stores with the first layer.
BIAS = "relative_attention_bias"
_RELATIVE_BIAS = f"encoder.block.0.layer.0.SelfAttention.{BIAS}"
# Files hold the token embedding under either name or under both; `T5EncoderModel` ties the two.
_EMBEDDING, _DUPLICATE = "shared.weight", "encoder.embed_tokens.weight"
TWINS = {_DUPLICATE: _EMBEDDING}

EMBEDDING_RULE = Rule(_EMBEDDING, "params/token_embed")
# Of every layer and of the last norm; UMT5 in transformers has the same.
LAYER_RULES = (
    *(
        Rule(f"{ATTENTION}.{x}.weight", f"params/blocks/attention/{x}/kernel", TO_HEADS[0])
        for x in "qkv"
    ),
    Rule(f"{ATTENTION}.o.weight", "params/blocks/attention/out/kernel", FROM_HEADS),
    Rule(f"{_BLOCK}.layer.0.layer_norm.weight", "params/blocks/attention_norm/scale"),
    Rule(f"{_MLP}.wi_0.weight", "params/blocks/mlp/gate/kernel", "o i -> i o"),
    Rule(f"{_MLP}.wi_1.weight", "params/blocks/mlp/up/kernel", "o i -> i o"),
    Rule(f"{_MLP}.wo.weight", "params/blocks/mlp/down/kernel", "o i -> i o"),
    Rule(f"{_BLOCK}.layer.1.layer_norm.weight", "params/blocks/mlp_norm/scale"),
    Rule("encoder.final_layer_norm.weight", "params/final_norm/scale"),
)
RULES = (EMBEDDING_RULE, Rule(f"{_RELATIVE_BIAS}.weight", "params/relative_bias"), *LAYER_RULES)
# Name in Hugging Face's `T5Config` -> field of ours.
_FIELDS = {
    "vocab_size": "vocab_size",
    "d_model": "width",
    "d_kv": "head_dim",
    "d_ff": "mlp_dim",
    "num_layers": "depth",
    "num_heads": "num_heads",
    "relative_attention_num_buckets": "num_buckets",
    "relative_attention_max_distance": "max_distance",
}
_DEFAULTS = {
    "feed_forward_proj": "relu",
    "layer_norm_epsilon": 1e-6,
    "relative_attention_num_buckets": 32,
    "relative_attention_max_distance": 128,
}


def table(config: T5Config, rules: tuple[Rule, ...] = RULES) -> Table:
    """Table of a T5 encoder with these sizes."""
    return Table(
        rules=rules,
        layers=config.depth,
        sizes={"a": config.num_heads, "e": config.head_dim},
        optional={_DUPLICATE: (config.vocab_size, config.width)},
    )


def is_foreign(name: str) -> bool:
    """Whether `name` belongs to the decoder or the output projection of a full T5 file."""
    return name.startswith(("decoder.", "lm_head."))


def infer_config(shapes: Shapes) -> T5Config:
    """Config inferred from the shapes of a checkpoint.

    The relative position bias determines the number of heads. Its `max_distance` does not show in
    the shapes; it is 128 in every published T5.

    Raises:
        ValueError: missing tensors, or UMT5's position biases of further layers.
    """
    if f"{ATTENTION.format(layer=1)}.{BIAS}.weight" in shapes:
        raise ValueError("not a T5 v1.1 encoder checkpoint: its layers have biases of their own.")
    depth = count(shapes, _BLOCKS)
    return inferred(shapes, "a T5 v1.1 encoder checkpoint", telling(), depth)


def telling() -> tuple[str, ...]:
    """Layers whose shapes determine the sizes: embedding, position bias, q and gate."""
    return (
        "shared",
        _RELATIVE_BIAS,
        f"{ATTENTION}.q".format(layer=0),
        f"{_MLP}.wi_0".format(layer=0),
    )


def inferred(
    shapes: Shapes, what: str, layers: Iterable[str], depth: int, *, shared_bias: bool = True
) -> T5Config:
    """Config of a T5 or UMT5 encoder; `layers` begin with those of `telling`."""
    (vocab_size, width), bias, q, gate, *_ = weight_shapes(shapes, what, *layers)
    num_buckets, num_heads = bias
    return T5Config(
        vocab_size=vocab_size,
        width=width,
        head_dim=q[0] // num_heads,
        mlp_dim=gate[0],
        depth=depth,
        num_heads=num_heads,
        num_buckets=num_buckets,
        shared_bias=shared_bias,
    )


def config_from_published(published: Mapping) -> T5Config:
    """Config from a Hugging Face `T5Config` as a dictionary (`config.json`, golden cases).

    Raises:
        ValueError: a variant of T5 other than v1.1.
    """
    stated = {**_DEFAULTS, **published}
    feed_forward, epsilon = stated["feed_forward_proj"], stated["layer_norm_epsilon"]
    if feed_forward != "gated-gelu" or epsilon != 1e-6:
        raise ValueError(
            f"feed_forward_proj={feed_forward!r}, layer_norm_epsilon={epsilon}: only T5 v1.1 is "
            "supported, which has 'gated-gelu' and 1e-06."
        )
    return T5Config(**{field: stated[name] for name, field in _FIELDS.items()})


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
        **{name: getattr(config, field) for name, field in _FIELDS.items()},
    }
