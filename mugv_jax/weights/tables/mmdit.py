# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Table of ContentV's transformer, for the names of its diffusers folder.

Stable Diffusion 3.5 Large has the same layers, so its transformer is read too, as the start of a
training. Its table of positions in a picture is not used; MM-DiT computes those of a video.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from mugv_jax.nn.mmdit.model import MMDiTConfig
from mugv_jax.weights.table import LAYER, Rule, Shapes, Table
from mugv_jax.weights.tables.layers import (
    FROM_HEADS,
    TO_HEADS,
    count,
    linear,
    weight_shapes,
    whole,
)

CLASS = "SD3Transformer3DModel"
PICTURE_PATCHES = 192  # rows and columns of the table of positions of Stable Diffusion 3.5 Large
# Modules of a block in the order of the class's parameters.
_ORDER = (
    "norm1.linear", "norm1_context.linear", "attn.norm_q", "attn.norm_k",
    "attn.to_q", "attn.to_k", "attn.to_v",
    "attn.add_k_proj", "attn.add_v_proj", "attn.add_q_proj", "attn.to_out.0", "attn.to_add_out",
    "attn.norm_added_q", "attn.norm_added_k",
    "ff.net.0.proj", "ff.net.2", "ff_context.net.0.proj", "ff_context.net.2",
)  # fmt: skip
# Argument of that class -> field of the config.
_FIELDS = {
    "num_layers": "depth",
    "num_attention_heads": "num_heads",
    "attention_head_dim": "head_dim",
    "in_channels": "in_channels",
    "out_channels": "out_channels",
    "joint_attention_dim": "text_dim",
    "pooled_projection_dim": "pooled_dim",
}
# The class does not take these two, so files may leave them out.
_DEFAULTS = {
    "joint_attention_dim": MMDiTConfig.text_dim,
    "pooled_projection_dim": MMDiTConfig.pooled_dim,
}
_BLOCK, _JOINT = "transformer_blocks.{layer}", "joint_blocks.{layer}"
_VIDEO = tuple(f"{_BLOCK}.attn.to_{x}" for x in "qkv")
_TEXT = tuple(f"{_BLOCK}.attn.add_{x}_proj" for x in "qkv")
# Names of layers in adapters with q, k and v fused, and in those for SD3's own code.
SPELLINGS = (
    *(whole(f"{_BLOCK}.attn.{name}", *_VIDEO) for name in ("to_qkv", "qkv")),
    *(whole(f"{_BLOCK}.attn.{name}", *_TEXT) for name in ("to_added_qkv", "add_qkv_proj")),
    whole(f"{_BLOCK}.attn.to_kv", *_VIDEO[1:]),
    whole(f"{_BLOCK}.attn.to_added_kv", *_TEXT[1:]),
    whole(f"{_JOINT}.x_block.attn.qkv", *_VIDEO),
    whole(f"{_JOINT}.x_block.attn.proj", f"{_BLOCK}.attn.to_out.0"),
    whole(f"{_JOINT}.x_block.mlp.fc1", f"{_BLOCK}.ff.net.0.proj"),
    whole(f"{_JOINT}.x_block.mlp.fc2", f"{_BLOCK}.ff.net.2"),
    whole(f"{_JOINT}.context_block.attn.qkv", *_TEXT),
    whole(f"{_JOINT}.context_block.attn.proj", f"{_BLOCK}.attn.to_add_out"),
    whole(f"{_JOINT}.context_block.mlp.fc1", f"{_BLOCK}.ff_context.net.0.proj"),
    whole(f"{_JOINT}.context_block.mlp.fc2", f"{_BLOCK}.ff_context.net.2"),
)


def _vectors(name: str, path: str, axis: str) -> tuple[Rule, Rule]:
    """Rules of a linear layer whose output is several vectors; `axis` counts them."""
    return linear(name, path, f"({axis} d) i -> i {axis} d", f"({axis} d) -> {axis} d")


def _stream(block: str, path: str, *, text: bool, ends: bool) -> Iterator[Rule]:
    """Rules of a block's video or text stream; one that `ends` only feeds the attention."""
    norm, mlp = ("norm1_context", "ff_context") if text else ("norm1", "ff")
    out = "to_add_out" if text else "to_out.0"
    yield from _vectors(f"{block}.{norm}.linear", f"{path}/modulation", "two" if ends else "six")
    for part in "qkv":
        name = f"add_{part}_proj" if text else f"to_{part}"
        yield from linear(f"{block}.attn.{name}", f"{path}/{part}", *TO_HEADS)
    for part in "qk":
        name = f"norm_added_{part}" if text else f"norm_{part}"
        yield Rule(f"{block}.attn.{name}.weight", f"params/{path}/{part}_norm/scale")
    if not ends:
        yield from linear(f"{block}.attn.{out}", f"{path}/out", FROM_HEADS)
        yield from linear(f"{block}.{mlp}.net.0.proj", f"{path}/mlp/up")
        yield from linear(f"{block}.{mlp}.net.2", f"{path}/mlp/down")


def _block(number: int | str, path: str, *, last: bool = False) -> Iterator[Rule]:
    block = f"transformer_blocks.{number}"
    rules = [
        *_stream(block, f"{path}/video", text=False, ends=False),
        *_stream(block, f"{path}/text", text=True, ends=last),
    ]

    def place(rule: Rule) -> int:
        return _ORDER.index(rule.name.removeprefix(f"{block}.").rpartition(".")[0])

    yield from sorted(rules, key=place)


def table(config: MMDiTConfig) -> Table:
    """Table of an MM-DiT with these sizes."""
    patches = "d c ph pw -> (ph pw c) d"
    time = "time_text_embed"
    rules = (
        *linear("pos_embed.proj", "patch_embed", patches),
        *linear(f"{time}.timestep_embedder.linear_1", "time_embed/up"),
        *linear(f"{time}.timestep_embedder.linear_2", "time_embed/down"),
        *linear(f"{time}.text_embedder.linear_1", "pooled_embed/up"),
        *linear(f"{time}.text_embedder.linear_2", "pooled_embed/down"),
        *linear("context_embedder", "text_embed"),
        *_block(LAYER, "blocks"),
        *_block(config.depth - 1, "last_block", last=True),
        *_vectors("norm_out.linear", "final/modulation", "two"),
        *linear("proj_out", "final/linear"),
    )
    _, rows, columns = config.patch
    sizes = {"a": config.num_heads, "e": config.head_dim, "six": 6, "two": 2}
    return Table(
        rules=rules,
        layers=config.depth - 1,
        sizes=sizes | {"ph": rows, "pw": columns},
        optional={"pos_embed.pos_embed": (1, PICTURE_PATCHES**2, config.width)},
    )


def infer_config(shapes: Shapes) -> MMDiTConfig:
    """Config inferred from the shapes of a checkpoint."""
    layers = ("pos_embed.proj", "transformer_blocks.0.attn.norm_q", "context_embedder")
    layers += ("time_text_embed.text_embedder.linear_1", "proj_out")
    patches, norm, text, pooled, out = weight_shapes(shapes, "a ContentV transformer", *layers)
    width, in_channels, rows, columns = patches
    (head_dim,) = norm
    return MMDiTConfig(
        depth=count(shapes, "transformer_blocks."),
        num_heads=width // head_dim,
        head_dim=head_dim,
        in_channels=in_channels,
        out_channels=out[0] // (rows * columns),
        patch=(1, rows, columns),
        text_dim=text[1],
        pooled_dim=pooled[1],
    )


def config_from_published(published: Mapping) -> MMDiTConfig:
    """Config from the constructor arguments (`transformer/config.json`)."""
    patch, stated = published["patch_size"], {**_DEFAULTS, **published}
    sizes = {field: stated[name] for name, field in _FIELDS.items()}
    return MMDiTConfig(**sizes, patch=(1, patch, patch))


def published_config(config: MMDiTConfig) -> dict[str, Any]:
    """`config.json` of the published class: the inverse of `config_from_published`.

    Raises:
        ValueError: patches that the class does not support.
    """
    _, rows, columns = config.patch
    if rows != columns:
        raise ValueError(f"patch={config.patch}: patches of the published class are square.")
    return {
        "_class_name": CLASS,
        **{name: getattr(config, field) for name, field in _FIELDS.items()},
        "patch_size": rows,
        "caption_projection_dim": config.width,
        "qk_norm": "rms_norm",
    }
