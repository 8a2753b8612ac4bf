# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Table of the tiny decoder of MUG-V's VAE. The names are ours: none was published."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from mugv_jax.nn.vae.tiny import TinyDecoderConfig
from mugv_jax.weights.table import Rule, Shapes, Table
from mugv_jax.weights.tables.layers import CONV_2D, count, linear, weight_shapes

CLASS = "MUGTinyDecoder"
_LATENTS, _FRAMES = "latents.block_", "frames.scale_"


def _block(name: str) -> list[Rule]:
    return [rule for i in (1, 2) for rule in _conv(f"{name}.conv_{i}")]


def _conv(name: str) -> tuple[Rule, Rule]:
    return linear(name, name.replace(".", "/"), CONV_2D)


def table(config: TinyDecoderConfig) -> Table:
    """Table of a tiny decoder with these sizes."""
    rules = [*_conv("latents.conv_in"), *_conv("latents.to_frames"), *_conv("frames.conv_out")]
    for i in range(config.layers):
        rules += _block(f"{_LATENTS}{i}")
    for scale in range(len(config.frame_widths)):
        rules += _conv(f"{_FRAMES}{scale}_up")
        for i in range(config.frame_layers):
            rules += _block(f"{_FRAMES}{scale}_block_{i}")
    return Table(rules=tuple(rules))


def infer_config(shapes: Shapes) -> TinyDecoderConfig:
    """Config inferred from the shapes of a checkpoint; all but the length of a window.

    Raises:
        ValueError: tensors are missing, or have shapes that no such decoder has.
    """
    scales = 1  # at least one is required
    while f"{_FRAMES}{scales}_up.weight" in shapes and scales < len(shapes):
        scales += 1
    layers = ("latents.conv_in", "latents.to_frames", "frames.conv_out")
    ups = [f"{_FRAMES}{scale}_up" for scale in range(scales)]
    read, grown, last, *ups = weight_shapes(shapes, "a tiny decoder", *layers, *ups)
    features = ups[0][1]
    return TinyDecoderConfig(
        latent_channels=read[1],
        width=read[0],
        layers=count(shapes, _LATENTS),
        feature_channels=features,
        frame_widths=tuple(shape[0] // 4 for shape in ups),
        frame_layers=count(shapes, f"{_FRAMES}0_block_"),
        patch_px=math.isqrt(last[0] // 3),
        time_factor=grown[0] // features,
    )


def published_config(config: TinyDecoderConfig) -> dict[str, Any]:
    """`config.json` beside the weights, for people."""
    return {"_class_name": CLASS, **dataclasses.asdict(config)}


def config_from_published(published: Mapping) -> TinyDecoderConfig:
    """Config from the content of `published_config`."""
    return TinyDecoderConfig(**{name: x for name, x in published.items() if name != "_class_name"})
