# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Table of the enhancer's DiT, for the names of `dit_i2v.safetensors`."""

from collections.abc import Iterator, Mapping

from mugv_jax.nn.wan.dit import WanDiTConfig
from mugv_jax.weights.table import Rule, Shapes, Table
from mugv_jax.weights.tables.layers import (
    FROM_HEADS,
    TO_HEADS,
    count,
    linear,
    norm,
    weight_shapes,
    whole,
)

_BLOCK = "blocks.{layer}"
_PATCHES = "d c pf ph pw -> (pf ph pw c) d"
HEAD_DIM = 128  # of the published model; the shapes do not determine it


def _attention(name: str, path: str, *, rope: bool) -> Iterator[Rule]:
    """Rules of an attention; with `rope`, pairs of neighbours become pairs across the halves."""
    for part in "qkv":
        turned = rope and part != "v"
        axes = ("(a k r) d -> d a (r k)", "(a k r) -> a (r k)") if turned else TO_HEADS
        yield from linear(f"{name}.{part}", f"{path}/{part}", *axes)
    yield from linear(f"{name}.o", f"{path}/out", FROM_HEADS)
    scale = "(a k r) -> (a r k)" if rope else ""
    for part in "qk":
        yield Rule(f"{name}.norm_{part}.weight", f"params/{path}/{part}_norm/scale", scale)


RULES = (
    *linear("patch_embedding", "patch_embed", _PATCHES),
    *linear("patch_embedding2", "clean_patch_embed", _PATCHES),
    *linear("text_embedding.0", "text_embed/up"),
    *linear("text_embedding.2", "text_embed/down"),
    *linear("time_embedding.0", "time_embed/up"),
    *linear("time_embedding.2", "time_embed/down"),
    *linear("time_projection.1", "modulation", "(six d) i -> i six d", "(six d) -> six d"),
    Rule(f"{_BLOCK}.modulation", "params/blocks/scale_shift_table", "1 six d -> six d"),
    *_attention(f"{_BLOCK}.self_attn", "blocks/self_attention", rope=True),
    *norm(f"{_BLOCK}.norm3", "blocks/cross_norm"),
    *_attention(f"{_BLOCK}.cross_attn", "blocks/cross_attention", rope=False),
    *linear(f"{_BLOCK}.ffn.0", "blocks/mlp/up"),
    *linear(f"{_BLOCK}.ffn.2", "blocks/mlp/down"),
    Rule("head.modulation", "params/final/scale_shift_table", "1 two d -> two d"),
    *linear("head.head", "final/linear"),
)
_SELF, _CROSS = f"{_BLOCK}.self_attn", f"{_BLOCK}.cross_attn"
_QKV, _KV = tuple(f"{_SELF}.{x}" for x in "qkv"), tuple(f"{_CROSS}.{x}" for x in "kv")
# Names of layers in adapters with q, k and v fused, and in those for diffusers' Wan.
SPELLINGS = (
    *(whole(f"{_SELF}.{name}", *_QKV) for name in ("qkv", "to_qkv")),
    *(whole(f"{_CROSS}.{name}", *_KV) for name in ("kv", "to_kv")),
    whole(f"{_BLOCK}.attn1.to_qkv", *_QKV),
    whole(f"{_BLOCK}.attn2.to_kv", *_KV),
    *(
        whole(f"{_BLOCK}.{attention}.{theirs}", f"{ours}.{part}")
        for attention, ours in (("attn1", _SELF), ("attn2", _CROSS))
        for theirs, part in (("to_q", "q"), ("to_k", "k"), ("to_v", "v"), ("to_out.0", "o"))
    ),
    whole(f"{_BLOCK}.ffn.net.0.proj", f"{_BLOCK}.ffn.0"),
    whole(f"{_BLOCK}.ffn.net.2", f"{_BLOCK}.ffn.2"),
    whole("condition_embedder.text_embedder.linear_1", "text_embedding.0"),
    whole("condition_embedder.text_embedder.linear_2", "text_embedding.2"),
    whole("condition_embedder.time_embedder.linear_1", "time_embedding.0"),
    whole("condition_embedder.time_embedder.linear_2", "time_embedding.2"),
    whole("condition_embedder.time_proj", "time_projection.1"),
    whole("proj_out", "head.head"),
)


def table(config: WanDiTConfig) -> Table:
    """Table of an enhancer with these sizes."""
    head_dim = config.width // config.num_heads
    sizes = {"a": config.num_heads, "e": head_dim, "r": 2, "k": head_dim // 2, "six": 6, "two": 2}
    sizes |= dict(zip(("pf", "ph", "pw"), config.patch))
    return Table(rules=RULES, layers=config.depth, sizes=sizes)


def infer_config(shapes: Shapes) -> WanDiTConfig:
    """Config inferred from the shapes of a checkpoint; heads have the published 128 channels."""
    layers = ("patch_embedding", "patch_embedding2", "text_embedding.0", "blocks.0.ffn.0")
    layers += ("head.head",)
    patches, _, text, up, out = weight_shapes(shapes, "an enhancer's checkpoint", *layers)
    width, in_channels, frames, rows, columns = patches
    return WanDiTConfig(
        depth=count(shapes, "blocks."),
        width=width,
        mlp_dim=up[0],
        num_heads=max(1, width // HEAD_DIM),
        in_channels=in_channels,
        out_channels=out[0] // (rows * columns),
        patch=(frames, rows, columns),
        text_dim=text[1],
    )


def config_from_published(published: Mapping) -> WanDiTConfig:
    """Config from the constructor arguments of the published class.

    Raises:
        ValueError: a frequency embedding or an epsilon other than the published ones.
    """
    if published.get("freq_dim", 256) != 256 or published.get("eps", 1e-6) != 1e-6:
        raise ValueError(
            f"freq_dim={published.get('freq_dim')}, eps={published.get('eps')}: only 256 and 1e-06 "
            "are supported."
        )
    return WanDiTConfig(
        depth=published["num_layers"],
        width=published["dim"],
        mlp_dim=published["ffn_dim"],
        num_heads=published["num_heads"],
        in_channels=published["in_dim"],
        out_channels=published["out_dim"],
        patch=tuple(published["patch_size"]),
        text_dim=published["text_dim"],
        text_tokens=published["text_len"],
    )
