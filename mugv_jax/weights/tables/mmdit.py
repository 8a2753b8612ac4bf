# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Table of ContentV's transformer, for the names of its diffusers folder."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from mugv_jax.nn.mmdit.model import MMDiTConfig
from mugv_jax.weights.table import LAYER, Rule, Table

CLASS = "SD3Transformer3DModel"


def _linear(name: str, path: str, axes: str = "o i -> i o", bias: str = "") -> Iterator[Rule]:
    yield Rule(f"{name}.weight", f"params/{path}/kernel", axes)
    yield Rule(f"{name}.bias", f"params/{path}/bias", bias)


def _vectors(name: str, path: str, count: str) -> Iterator[Rule]:
    yield from _linear(name, path, f"({count} d) i -> i {count} d", f"({count} d) -> {count} d")


def _stream(block: str, path: str, *, text: bool, ends: bool) -> Iterator[Rule]:
    """Rules of a block's video or text stream; one that `ends` only feeds the attention."""
    norm, mlp = ("norm1_context", "ff_context") if text else ("norm1", "ff")
    out = "to_add_out" if text else "to_out.0"
    yield from _vectors(f"{block}.{norm}.linear", f"{path}/modulation", "two" if ends else "six")
    for part in "qkv":
        name = f"add_{part}_proj" if text else f"to_{part}"
        heads = "(a e) d -> d a e", "(a e) -> a e"
        yield from _linear(f"{block}.attn.{name}", f"{path}/{part}", *heads)
    for part in "qk":
        name = f"norm_added_{part}" if text else f"norm_{part}"
        yield Rule(f"{block}.attn.{name}.weight", f"params/{path}/{part}_norm/scale")
    if not ends:
        yield from _linear(f"{block}.attn.{out}", f"{path}/out", "d (a e) -> a e d")
        yield from _linear(f"{block}.{mlp}.net.0.proj", f"{path}/mlp/up")
        yield from _linear(f"{block}.{mlp}.net.2", f"{path}/mlp/down")


def _block(number: int | str, path: str, *, last: bool = False) -> Iterator[Rule]:
    block = f"transformer_blocks.{number}"
    yield from _stream(block, f"{path}/video", text=False, ends=False)
    yield from _stream(block, f"{path}/text", text=True, ends=last)


def table(config: MMDiTConfig) -> Table:
    """Table of an MM-DiT with these sizes."""
    patches = "d c ph pw -> (ph pw c) d"
    time = "time_text_embed"
    rules = (
        *_linear("pos_embed.proj", "patch_embed", patches),
        *_linear(f"{time}.timestep_embedder.linear_1", "time_embed/up"),
        *_linear(f"{time}.timestep_embedder.linear_2", "time_embed/down"),
        *_linear(f"{time}.text_embedder.linear_1", "pooled_embed/up"),
        *_linear(f"{time}.text_embedder.linear_2", "pooled_embed/down"),
        *_linear("context_embedder", "text_embed"),
        *_block(LAYER, "blocks"),
        *_block(config.depth - 1, "last_block", last=True),
        *_vectors("norm_out.linear", "final/modulation", "two"),
        *_linear("proj_out", "final/linear"),
    )
    _, rows, columns = config.patch
    sizes = {"a": config.num_heads, "e": config.head_dim, "six": 6, "two": 2}
    return Table(rules=rules, layers=config.depth - 1, sizes=sizes | {"ph": rows, "pw": columns})


def infer_config(shapes: Mapping[str, tuple[int, ...]]) -> MMDiTConfig:
    """Config inferred from the shapes of a checkpoint.

    Raises:
        ValueError: tensors that determine the sizes are missing.
    """
    patches, norm, text, pooled, out = (
        f"{name}.weight"
        for name in (
            "pos_embed.proj", "transformer_blocks.0.attn.norm_q", "context_embedder",
            "time_text_embed.text_embedder.linear_1", "proj_out",
        )
    )  # fmt: skip
    missing = [name for name in (patches, norm, text, pooled, out) if name not in shapes]
    if missing:
        raise ValueError(f"not a ContentV transformer: it has no {', '.join(missing)}.")
    width, in_channels, rows, columns = shapes[patches]
    (head_dim,) = shapes[norm]
    blocks = (re.match(r"transformer_blocks\.(\d+)\.", name) for name in shapes)
    return MMDiTConfig(
        depth=1 + max(int(block[1]) for block in blocks if block),
        num_heads=width // head_dim,
        head_dim=head_dim,
        in_channels=in_channels,
        out_channels=shapes[out][0] // (rows * columns),
        patch=(1, rows, columns),
        text_dim=shapes[text][1],
        pooled_dim=shapes[pooled][1],
    )


def config_from_published(published: Mapping) -> MMDiTConfig:
    """Config from the constructor arguments (`transformer/config.json`)."""
    patch = published["patch_size"]
    return MMDiTConfig(
        depth=published["num_layers"],
        num_heads=published["num_attention_heads"],
        head_dim=published["attention_head_dim"],
        in_channels=published["in_channels"],
        out_channels=published["out_channels"],
        patch=(1, patch, patch),
        # The class does not take these two, so files may leave them out.
        text_dim=published.get("joint_attention_dim", MMDiTConfig.text_dim),
        pooled_dim=published.get("pooled_projection_dim", MMDiTConfig.pooled_dim),
    )


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
        "num_layers": config.depth,
        "num_attention_heads": config.num_heads,
        "attention_head_dim": config.head_dim,
        "in_channels": config.in_channels,
        "out_channels": config.out_channels,
        "patch_size": rows,
        "joint_attention_dim": config.text_dim,
        "pooled_projection_dim": config.pooled_dim,
        "caption_projection_dim": config.width,
        "qk_norm": "rms_norm",
    }
