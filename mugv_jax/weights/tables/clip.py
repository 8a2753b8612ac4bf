# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Table of CLIP's text encoder, for the names of a Hugging Face folder."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from mugv_jax.nn.text.clip import ClipTextConfig
from mugv_jax.weights.table import Rule, Table

TYPE = "clip_text_model"  # model_type in config.json
_LAYER = "text_model.encoder.layers.{layer}"
_TOKENS, _PLACES = (f"text_model.embeddings.{x}_embedding.weight" for x in ("token", "position"))
_PROJECTION = "text_projection.weight"
# Position numbers 0, 1, 2, ..., which some files hold.
_POSITIONS = "text_model.embeddings.position_ids"
# OpenCLIP's and CLIP's vocabulary; its last token ends the text.
VOCABULARY = 49408
HEAD_DIM = 64  # of both published encoders; the shapes do not determine it


def _affine(name: str, path: str) -> Iterator[Rule]:
    yield Rule(f"{name}.weight", f"params/{path}/scale")
    yield Rule(f"{name}.bias", f"params/{path}/bias")


def _linear(name: str, path: str) -> Iterator[Rule]:
    yield Rule(f"{name}.weight", f"params/{path}/kernel", "o i -> i o")
    yield Rule(f"{name}.bias", f"params/{path}/bias")


def _heads(name: str, path: str) -> Iterator[Rule]:
    yield Rule(f"{name}.weight", f"params/{path}/kernel", "(a e) d -> d a e")
    yield Rule(f"{name}.bias", f"params/{path}/bias", "(a e) -> a e")


RULES = (
    Rule(_TOKENS, "params/token_embed"),
    Rule(_PLACES, "params/position_embed"),
    *(
        rule
        for x in "qkv"
        for rule in _heads(f"{_LAYER}.self_attn.{x}_proj", f"blocks/attention/{x}")
    ),
    Rule(
        f"{_LAYER}.self_attn.out_proj.weight",
        "params/blocks/attention/out/kernel",
        "d (a e) -> a e d",
    ),
    Rule(f"{_LAYER}.self_attn.out_proj.bias", "params/blocks/attention/out/bias"),
    *_affine(f"{_LAYER}.layer_norm1", "blocks/attention_norm"),
    *_linear(f"{_LAYER}.mlp.fc1", "blocks/up"),
    *_linear(f"{_LAYER}.mlp.fc2", "blocks/down"),
    *_affine(f"{_LAYER}.layer_norm2", "blocks/mlp_norm"),
    *_affine("text_model.final_layer_norm", "final_norm"),
    Rule(_PROJECTION, "params/project/kernel", "o i -> i o"),
)


def table(config: ClipTextConfig) -> Table:
    """Table of a CLIP text encoder with these sizes."""
    return Table(
        rules=RULES,
        layers=config.depth,
        sizes={"a": config.num_heads, "e": config.width // config.num_heads},
        optional={_POSITIONS: (1, config.length)},
    )


def infer_config(shapes: Mapping[str, tuple[int, ...]]) -> ClipTextConfig:
    """Config inferred from the shapes of a checkpoint without a config.json.

    The width distinguishes the published encoders: CLIP has 768 and quick GELU, OpenCLIP's bigG
    1280 and exact GELU. Both have heads of 64 channels.

    Raises:
        ValueError: tensors that determine the sizes are missing.
    """
    up = _LAYER.format(layer=0) + ".mlp.fc1.weight"
    missing = [name for name in (_TOKENS, _PLACES, _PROJECTION, up) if name not in shapes]
    if missing:
        raise ValueError(f"not a CLIP text encoder checkpoint: it has no {', '.join(missing)}.")
    vocab_size, width = shapes[_TOKENS]
    layers = (re.match(r"text_model\.encoder\.layers\.(\d+)\.", name) for name in shapes)
    return ClipTextConfig(
        vocab_size=vocab_size,
        width=width,
        mlp_dim=shapes[up][0],
        depth=1 + max(int(layer[1]) for layer in layers if layer),
        num_heads=max(1, width // HEAD_DIM),
        features=shapes[_PROJECTION][0],
        length=shapes[_PLACES][0],
        activation="quick_gelu" if width <= 768 else "gelu",
        end=vocab_size - 1,
    )


def config_from_published(published: Mapping) -> ClipTextConfig:
    """Config from a Hugging Face `CLIPTextConfig` as a dictionary.

    An `eos_token_id` of 2 is a wrong value of old files; as in the published class, the text then
    ends with the last token of the vocabulary.
    """
    end, vocab_size = published.get("eos_token_id", 2), published["vocab_size"]
    return ClipTextConfig(
        vocab_size=vocab_size,
        width=published["hidden_size"],
        mlp_dim=published["intermediate_size"],
        depth=published["num_hidden_layers"],
        num_heads=published["num_attention_heads"],
        features=published["projection_dim"],
        length=published.get("max_position_embeddings", 77),
        activation=published.get("hidden_act", "quick_gelu"),
        end=vocab_size - 1 if end == 2 else end,
    )


def published_config(config: ClipTextConfig) -> dict[str, Any]:
    """`config.json` of a `CLIPTextModelWithProjection`: the inverse of `config_from_published`."""
    return {
        "architectures": ["CLIPTextModelWithProjection"],
        "model_type": TYPE,
        "vocab_size": config.vocab_size,
        "hidden_size": config.width,
        "intermediate_size": config.mlp_dim,
        "num_hidden_layers": config.depth,
        "num_attention_heads": config.num_heads,
        "projection_dim": config.features,
        "max_position_embeddings": config.length,
        "hidden_act": config.activation,
        "bos_token_id": config.end - 1,
        "eos_token_id": config.end,
    }
