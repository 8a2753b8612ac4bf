# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Table of CLIP's text encoder, for the names of a Hugging Face folder.

The file may hold the image encoder too (`CLIPModel`), which `clip_vision.py` describes.
"""

from collections.abc import Mapping
from typing import Any

from mugv_jax.nn.text.clip import ClipTextConfig
from mugv_jax.weights.table import Rule, Shapes, Table
from mugv_jax.weights.tables.layers import FROM_HEADS, TO_HEADS, count, linear, norm, weight_shapes

TYPE = "clip_text_model"  # model_type in config.json
BOTH, PART = "clip", "text_config"  # model_type of both encoders together, and this one's entry
OTHERS = ("vision_model.", "visual_projection.", "logit_scale")  # tensors of the image encoder
_LAYERS = "text_model.encoder.layers."
_LAYER = f"{_LAYERS}{{layer}}"
_TOKENS, _PLACES = (f"text_model.embeddings.{x}_embedding" for x in ("token", "position"))
# Position numbers 0, 1, 2, ..., which some files hold.
_POSITIONS = "text_model.embeddings.position_ids"
HEAD_DIM = 64  # of both published encoders; the shapes do not determine it

RULES = (
    Rule(f"{_TOKENS}.weight", "params/token_embed"),
    Rule(f"{_PLACES}.weight", "params/position_embed"),
    *(
        rule
        for x in "qkv"
        for rule in linear(f"{_LAYER}.self_attn.{x}_proj", f"blocks/attention/{x}", *TO_HEADS)
    ),
    *linear(f"{_LAYER}.self_attn.out_proj", "blocks/attention/out", FROM_HEADS),
    *norm(f"{_LAYER}.layer_norm1", "blocks/attention_norm"),
    *linear(f"{_LAYER}.mlp.fc1", "blocks/up"),
    *linear(f"{_LAYER}.mlp.fc2", "blocks/down"),
    *norm(f"{_LAYER}.layer_norm2", "blocks/mlp_norm"),
    *norm("text_model.final_layer_norm", "final_norm"),
    Rule("text_projection.weight", "params/project/kernel", "o i -> i o"),
)
# Name in `CLIPTextConfig` -> field of the config.
_FIELDS = {
    "vocab_size": "vocab_size",
    "hidden_size": "width",
    "intermediate_size": "mlp_dim",
    "num_hidden_layers": "depth",
    "num_attention_heads": "num_heads",
    "projection_dim": "features",
    "max_position_embeddings": "length",
    "hidden_act": "activation",
    "eos_token_id": "end",
}
_DEFAULTS = {"max_position_embeddings": 77, "hidden_act": "quick_gelu", "eos_token_id": 2}
# Further defaults of the published class, which an entry of a `CLIPModel` may leave out.
_SIZES = {
    "vocab_size": 49408,
    "hidden_size": 512,
    "intermediate_size": 2048,
    "num_hidden_layers": 12,
    "num_attention_heads": 8,
}


def is_foreign(name: str) -> bool:
    """Whether a tensor is of the image encoder, or of the pair."""
    return name.startswith(OTHERS)


def own_entries(stated: Mapping) -> Mapping:
    """Entries of a `config.json` that describe the text encoder; see `part_of_pair`."""
    return part_of_pair(stated, PART, TYPE, _SIZES)


def part_of_pair(stated: Mapping, part: str, kind: str, defaults: Mapping) -> Mapping:
    """A `config.json` of both encoders as that of one: its `part`, with the pair's projection.

    The projection's width that stands in the part itself is not used by the published class.
    """
    if stated.get("model_type") != BOTH or not isinstance(stated.get(part), Mapping):
        return stated
    width = stated.get("projection_dim", 512)  # the published default
    return {**defaults, **stated[part], "model_type": kind, "projection_dim": width}


def table(config: ClipTextConfig) -> Table:
    """Table of a CLIP text encoder with these sizes."""
    return Table(
        rules=RULES,
        layers=config.depth,
        sizes={"a": config.num_heads, "e": config.width // config.num_heads},
        optional={_POSITIONS: (1, config.length)},
    )


def infer_config(shapes: Shapes) -> ClipTextConfig:
    """Config inferred from the shapes of a checkpoint without a config.json.

    The width distinguishes the published encoders: CLIP has 768 and quick GELU, OpenCLIP's bigG
    1280 and exact GELU. Both end a text with the last token of the vocabulary.
    """
    layers = (_TOKENS, _PLACES, "text_projection", f"{_LAYERS}0.mlp.fc1")
    tokens, places, projection, up = weight_shapes(
        shapes, "a CLIP text encoder checkpoint", *layers
    )
    vocab_size, width = tokens
    return ClipTextConfig(
        vocab_size=vocab_size,
        width=width,
        mlp_dim=up[0],
        depth=count(shapes, _LAYERS),
        num_heads=max(1, width // HEAD_DIM),
        features=projection[0],
        length=places[0],
        activation="quick_gelu" if width <= 768 else "gelu",
        end=vocab_size - 1,
    )


def config_from_published(published: Mapping) -> ClipTextConfig:
    """Config from a Hugging Face `CLIPTextConfig` as a dictionary.

    An `eos_token_id` of 2 is a wrong value of old files; as in the published class, the text then
    ends with the last token of the vocabulary.
    """
    stated = {**_DEFAULTS, **published}
    if stated["eos_token_id"] == 2:
        stated["eos_token_id"] = stated["vocab_size"] - 1
    return ClipTextConfig(**{field: stated[name] for name, field in _FIELDS.items()})


def published_config(config: ClipTextConfig) -> dict[str, Any]:
    """`config.json` of a `CLIPTextModelWithProjection`: the inverse of `config_from_published`."""
    return {
        "architectures": ["CLIPTextModelWithProjection"],
        "model_type": TYPE,
        **{name: getattr(config, field) for name, field in _FIELDS.items()},
        "bos_token_id": config.end - 1,
    }
