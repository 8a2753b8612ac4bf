# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Tables of Wan2.1's DiT, for text-to-video and with the enhancer's second patch embedding.

The names are those of the published files, or of `WanTransformer3DModel` in diffusers.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from mugv_jax.nn.wan.dit import WanDiTConfig
from mugv_jax.weights.table import Rule, Shapes, Spelling, Table
from mugv_jax.weights.tables.layers import (
    FROM_HEADS,
    TO_HEADS,
    count,
    linear,
    norm,
    weight_shapes,
    whole,
)

PUBLISHED_CLASS, CLASS = "WanModel", "WanTransformer3DModel"  # the latter in diffusers
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
_CLEAN = linear("patch_embedding2", "clean_patch_embed", _PATCHES)
_SELF, _CROSS = f"{_BLOCK}.self_attn", f"{_BLOCK}.cross_attn"
_PARTS = {"q": "to_q", "k": "to_k", "v": "to_v", "o": "to_out.0"}
# Published name of a linear layer -> its name in diffusers.
_LAYERS = {
    **{
        f"{ours}.{part}": f"{theirs}.{name}"
        for ours, theirs in ((_SELF, f"{_BLOCK}.attn1"), (_CROSS, f"{_BLOCK}.attn2"))
        for part, name in _PARTS.items()
    },
    f"{_BLOCK}.ffn.0": f"{_BLOCK}.ffn.net.0.proj",
    f"{_BLOCK}.ffn.2": f"{_BLOCK}.ffn.net.2",
    "text_embedding.0": "condition_embedder.text_embedder.linear_1",
    "text_embedding.2": "condition_embedder.text_embedder.linear_2",
    "time_embedding.0": "condition_embedder.time_embedder.linear_1",
    "time_embedding.2": "condition_embedder.time_embedder.linear_2",
    "time_projection.1": "condition_embedder.time_proj",
    "head.head": "proj_out",
}
# The same of all other modules and tensors whose names differ.
_OTHERS = {
    f"{_BLOCK}.modulation": f"{_BLOCK}.scale_shift_table",
    f"{_SELF}.norm_q": f"{_BLOCK}.attn1.norm_q",
    f"{_SELF}.norm_k": f"{_BLOCK}.attn1.norm_k",
    f"{_BLOCK}.norm3": f"{_BLOCK}.norm2",
    f"{_CROSS}.norm_q": f"{_BLOCK}.attn2.norm_q",
    f"{_CROSS}.norm_k": f"{_BLOCK}.attn2.norm_k",
    "head.modulation": "scale_shift_table",
}

# Arguments of diffusers' class that have one value in every text-to-video model.
_FIXED = {
    "cross_attn_norm": True,
    "qk_norm": "rms_norm_across_heads",
    "image_dim": None,
    "added_kv_proj_dim": None,
}


def _in_diffusers(rule: Rule) -> Rule:
    names = _LAYERS | _OTHERS
    module, _, leaf = rule.name.rpartition(".")
    whole_name = names.get(rule.name, f"{names.get(module, module)}.{leaf}")
    return dataclasses.replace(rule, name=whole_name)


def _fused(names: Mapping[str, str]) -> Iterator[Spelling]:
    """Spellings of layers that hold q, k and v, or k and v, in the names of both programs.

    names: published name of a layer -> its name in the table.
    """
    for attention, theirs, parts in ((_SELF, "attn1", "qkv"), (_CROSS, "attn2", "kv")):
        layers = tuple(names[f"{attention}.{part}"] for part in parts)
        for name in (f"{attention}.{parts}", f"{attention}.to_{parts}"):
            yield whole(name, *layers)
        yield whole(f"{_BLOCK}.{theirs}.to_{parts}", *layers)


# Other names of layers in adapters: those of the other program, and with q, k and v fused.
SPELLINGS = (
    *_fused({name: name for name in _LAYERS}),
    *(whole(theirs, ours) for ours, theirs in _LAYERS.items()),
)
DIFFUSERS_SPELLINGS = (
    *_fused(_LAYERS),
    *(whole(ours, theirs) for ours, theirs in _LAYERS.items()),
)


def table(config: WanDiTConfig, *, diffusers: bool = False, clean: bool = False) -> Table:
    """Table of a DiT with these sizes.

    diffusers: names of diffusers.
    clean: with the enhancer's embedding of clean latents.
    """
    head_dim = config.width // config.num_heads
    sizes = {"a": config.num_heads, "e": head_dim, "r": 2, "k": head_dim // 2, "six": 6, "two": 2}
    sizes |= dict(zip(("pf", "ph", "pw"), config.patch))
    rules = (*RULES[:2], *_CLEAN, *RULES[2:]) if clean else RULES
    rules = tuple(map(_in_diffusers, rules)) if diffusers else rules
    return Table(rules=rules, layers=config.depth, sizes=sizes)


def infer_config(shapes: Shapes, *, diffusers: bool = False, clean: bool = False) -> WanDiTConfig:
    """Config inferred from the shapes of a checkpoint; heads have the published 128 channels.

    Raises:
        ValueError: missing layers, or the enhancer's where it is not meant.
    """
    second = "patch_embedding2"
    layers = ("text_embedding.0", "blocks.0.ffn.0", "head.head")
    if diffusers:
        layers = tuple(map(_first_of_blocks, layers))
    layers = ("patch_embedding", *layers, *((second,) if clean else ()))
    what = "an enhancer's checkpoint" if clean else "a checkpoint of Wan2.1's DiT"
    patches, text, up, out, *_ = weight_shapes(shapes, what, *layers)
    if not clean and f"{second}.weight" in shapes:
        raise ValueError(f"not {what}: it has {second}.weight of the enhancer.")
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


def _first_of_blocks(name: str) -> str:
    """Name in diffusers of a layer, which may be one of block 0."""
    return _LAYERS[name.replace("blocks.0", _BLOCK)].format(layer=0)


def config_from_published(published: Mapping) -> WanDiTConfig:
    """Config from the constructor arguments of `WanModel`; its files leave out two of them.

    Raises:
        ValueError: a model that reads more than a text, or constants other than the published ones.
    """
    _check(published)
    if published.get("model_type", "t2v") != "t2v":
        raise ValueError(
            f"model_type={published['model_type']!r}: only 't2v', text-to-video, is supported."
        )
    return WanDiTConfig(
        depth=published["num_layers"],
        width=published["dim"],
        mlp_dim=published["ffn_dim"],
        num_heads=published["num_heads"],
        in_channels=published["in_dim"],
        out_channels=published["out_dim"],
        patch=tuple(published.get("patch_size", WanDiTConfig.patch)),
        text_dim=published.get("text_dim", WanDiTConfig.text_dim),
        text_tokens=published["text_len"],
    )


def config_from_diffusers(published: Mapping) -> WanDiTConfig:
    """Config from the constructor arguments of `WanTransformer3DModel` (`config.json`).

    Raises:
        ValueError: a model that reads more than a text, or constants other than the published ones.
    """
    _check(published)
    for name, ours in _FIXED.items():
        if published.get(name, ours) != ours:
            raise ValueError(f"{name}={published[name]!r}: only {ours!r} is supported.")
    head_dim = published["attention_head_dim"]
    return WanDiTConfig(
        depth=published["num_layers"],
        width=published["num_attention_heads"] * head_dim,
        mlp_dim=published["ffn_dim"],
        num_heads=published["num_attention_heads"],
        in_channels=published["in_channels"],
        out_channels=published["out_channels"],
        patch=tuple(published["patch_size"]),
        text_dim=published["text_dim"],
    )


def published_config(config: WanDiTConfig) -> dict[str, Any]:
    """`config.json` of a `WanTransformer3DModel`: the inverse of `config_from_diffusers`."""
    return {
        "_class_name": CLASS,
        "num_layers": config.depth,
        "num_attention_heads": config.num_heads,
        "attention_head_dim": config.width // config.num_heads,
        "ffn_dim": config.mlp_dim,
        "in_channels": config.in_channels,
        "out_channels": config.out_channels,
        "patch_size": list(config.patch),
        "text_dim": config.text_dim,
        "freq_dim": 256,
        "eps": 1e-6,
        **_FIXED,
    }


def _check(published: Mapping) -> None:
    if published.get("freq_dim", 256) != 256 or published.get("eps", 1e-6) != 1e-6:
        raise ValueError(
            f"freq_dim={published.get('freq_dim')}, eps={published.get('eps')}: only 256 and 1e-06 "
            "are supported."
        )
