# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Table of CLIP's image encoder, for the names of a Hugging Face folder.

The file may hold the text encoder too (`CLIPModel`), which `clip.py` describes.
"""

import math
from collections.abc import Mapping
from typing import Any

from mugv_jax.nn.vision.clip import COLOURS, ClipVisionConfig
from mugv_jax.weights.table import Rule, Shapes, Table
from mugv_jax.weights.tables.clip import part_of_pair
from mugv_jax.weights.tables.layers import FROM_HEADS, TO_HEADS, count, linear, norm, weight_shapes

TYPE, PART = "clip_vision_model", "vision_config"  # model_type, and the entry beside a text encoder
OTHERS = ("text_model.", "text_projection.", "logit_scale")  # tensors of the text encoder
_LAYERS = "vision_model.encoder.layers."
_LAYER = f"{_LAYERS}{{layer}}"
_EMBED = "vision_model.embeddings"
# Heads of the published encoders by width; shapes do not determine them.
HEADS = {768: 12, 1024: 16, 1280: 16}

RULES = (
    Rule(f"{_EMBED}.class_embedding", "params/class_embed"),
    Rule(f"{_EMBED}.patch_embedding.weight", "params/patch/kernel", "o c h w -> h w c o"),
    Rule(f"{_EMBED}.position_embedding.weight", "params/position_embed"),
    *norm("vision_model.pre_layrnorm", "first_norm"),  # spelt so in the published files
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
    *norm("vision_model.post_layernorm", "final_norm"),
    Rule("visual_projection.weight", "params/project/kernel", "o i -> i o"),
)
# Name in `CLIPVisionConfig` -> field of the config.
_FIELDS = {
    "hidden_size": "width",
    "intermediate_size": "mlp_dim",
    "num_hidden_layers": "depth",
    "num_attention_heads": "num_heads",
    "projection_dim": "features",
    "patch_size": "patch_px",
    "image_size": "side_px",
    "hidden_act": "activation",
}
_DEFAULTS = {"hidden_act": "quick_gelu", "image_size": 224}
# Further defaults of the published class, which an entry of a `CLIPModel` may leave out.
_SIZES = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "patch_size": 32,
}


def is_foreign(name: str) -> bool:
    """Whether a tensor is of the text encoder, or of the pair."""
    return name.startswith(OTHERS)


def own_entries(stated: Mapping) -> Mapping:
    """Entries of a `config.json` that describe the image encoder; see `clip.part_of_pair`."""
    return part_of_pair(stated, PART, TYPE, _SIZES)


def table(config: ClipVisionConfig) -> Table:
    """Table of a CLIP image encoder with these sizes."""
    return Table(
        rules=RULES,
        layers=config.depth,
        sizes={"a": config.num_heads, "e": config.width // config.num_heads},
        optional={f"{_EMBED}.position_ids": (1, config.tokens)},
    )


def infer_config(shapes: Shapes) -> ClipVisionConfig:
    """Config inferred from the shapes of a checkpoint without a config.json.

    The width distinguishes the published encoders: B and L have quick GELU, H (1280) exact GELU.
    OpenCLIP's own B and L have exact GELU, which only a config.json can tell.
    """
    layers = ("visual_projection", *(f"{_EMBED}.{x}_embedding" for x in ("patch", "position")))
    projection, patch, places, up = weight_shapes(
        shapes, "a CLIP image encoder checkpoint", *layers, f"{_LAYERS}0.mlp.fc1"
    )
    width, colours, patch_px, _ = patch
    if colours != COLOURS:
        raise ValueError(f"patches of {colours} colours, must be {COLOURS}.")
    return ClipVisionConfig(
        width=width,
        mlp_dim=up[0],
        depth=count(shapes, _LAYERS),
        num_heads=HEADS.get(width, max(1, width // 64)),
        features=projection[0],
        patch_px=patch_px,
        side_px=math.isqrt(places[0] - 1) * patch_px,
        activation="quick_gelu" if width <= 1024 else "gelu",
    )


def config_from_published(published: Mapping) -> ClipVisionConfig:
    """Config from a Hugging Face `CLIPVisionConfig` as a dictionary."""
    stated = {**_DEFAULTS, **published}
    return ClipVisionConfig(**{field: stated[name] for name, field in _FIELDS.items()})


def published_config(config: ClipVisionConfig) -> dict[str, Any]:
    """`config.json` of a `CLIPVisionModelWithProjection`: inverse of `config_from_published`."""
    return {
        "architectures": ["CLIPVisionModelWithProjection"],
        "model_type": TYPE,
        **{name: getattr(config, field) for name, field in _FIELDS.items()},
    }
