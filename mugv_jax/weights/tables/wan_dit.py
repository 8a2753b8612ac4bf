# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Table of the enhancer's DiT, for the names of `dit_i2v.safetensors`."""

import re
from collections.abc import Iterator, Mapping

from mugv_jax.nn.wan.dit import WanDiTConfig
from mugv_jax.weights.table import Rule, Table

_BLOCK = "blocks.{layer}"
_PATCHES = "d c pf ph pw -> (pf ph pw c) d"
HEAD_DIM = 128  # of the published model; the shapes do not determine it


def _linear(name: str, path: str, axes: str = "o i -> i o", bias: str = "") -> Iterator[Rule]:
    yield Rule(f"{name}.weight", f"params/{path}/kernel", axes)
    yield Rule(f"{name}.bias", f"params/{path}/bias", bias)


def _attention(name: str, path: str, *, rope: bool) -> Iterator[Rule]:
    """Rules of an attention; with `rope`, pairs of neighbours become pairs across the halves."""
    for part in "qkv":
        if rope and part != "v":
            weight, bias = "(a k r) d -> d a (r k)", "(a k r) -> a (r k)"
            norm = "(a k r) -> (a r k)"
        else:
            weight, bias, norm = "(a e) d -> d a e", "(a e) -> a e", ""
        yield from _linear(f"{name}.{part}", f"{path}/{part}", weight, bias)
        if part != "v":
            yield Rule(f"{name}.norm_{part}.weight", f"params/{path}/{part}_norm/scale", norm)
    yield from _linear(f"{name}.o", f"{path}/out", "d (a e) -> a e d")


RULES = (
    *_linear("patch_embedding", "patch_embed", _PATCHES),
    *_linear("patch_embedding2", "clean_patch_embed", _PATCHES),
    *_linear("text_embedding.0", "text_embed/up"),
    *_linear("text_embedding.2", "text_embed/down"),
    *_linear("time_embedding.0", "time_embed/up"),
    *_linear("time_embedding.2", "time_embed/down"),
    *_linear("time_projection.1", "modulation", "(six d) i -> i six d", "(six d) -> six d"),
    Rule(f"{_BLOCK}.modulation", "params/blocks/scale_shift_table", "1 six d -> six d"),
    *_attention(f"{_BLOCK}.self_attn", "blocks/self_attention", rope=True),
    Rule(f"{_BLOCK}.norm3.weight", "params/blocks/cross_norm/scale"),
    Rule(f"{_BLOCK}.norm3.bias", "params/blocks/cross_norm/bias"),
    *_attention(f"{_BLOCK}.cross_attn", "blocks/cross_attention", rope=False),
    *_linear(f"{_BLOCK}.ffn.0", "blocks/mlp/up"),
    *_linear(f"{_BLOCK}.ffn.2", "blocks/mlp/down"),
    Rule("head.modulation", "params/final/scale_shift_table", "1 two d -> two d"),
    *_linear("head.head", "final/linear"),
)


def table(config: WanDiTConfig) -> Table:
    """Table of an enhancer with these sizes."""
    head_dim = config.width // config.num_heads
    _, rows, columns = config.patch
    sizes = {
        "a": config.num_heads,
        "e": head_dim,
        "r": 2,
        "k": head_dim // 2,
        "six": 6,
        "two": 2,
        "pf": 1,
        "ph": rows,
        "pw": columns,
    }
    return Table(rules=RULES, layers=config.depth, sizes=sizes)


def infer_config(shapes: Mapping[str, tuple[int, ...]]) -> WanDiTConfig:
    """Config inferred from the shapes of a checkpoint; heads have the published 128 channels.

    Raises:
        ValueError: tensors that determine the sizes are missing.
    """
    patches, second, text, up, out = (
        f"{name}.weight"
        for name in (
            "patch_embedding", "patch_embedding2", "text_embedding.0", "blocks.0.ffn.0",
            "head.head",
        )
    )  # fmt: skip
    missing = [name for name in (patches, second, text, up, out) if name not in shapes]
    if missing:
        raise ValueError(f"not an enhancer's checkpoint: it has no {', '.join(missing)}.")
    width, in_channels, *patch = shapes[patches]
    frames, rows, columns = patch
    blocks = (re.match(r"blocks\.(\d+)\.", name) for name in shapes)
    return WanDiTConfig(
        depth=1 + max(int(block[1]) for block in blocks if block),
        width=width,
        mlp_dim=shapes[up][0],
        num_heads=max(1, width // HEAD_DIM),
        in_channels=in_channels,
        out_channels=shapes[out][0] // (rows * columns),
        patch=(frames, rows, columns),
        text_dim=shapes[text][1],
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
