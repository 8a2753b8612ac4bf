# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Table of the video VAE, for the names of `vae.pt`."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from mugv_jax.nn.vae.sizes import VAEConfig
from mugv_jax.weights.table import Rule, Shapes, Table
from mugv_jax.weights.tables.layers import CONV_2D, CONV_3D, count, linear, norm, weight_shapes

CLASS = "MUGVideoVAE"
_ENCODER, _DECODER = "spatial_vae.module.encoder", "spatial_vae.module.decoder"
_TIME_ENCODER, _TIME_DECODER = "temporal_vae.encoder", "temporal_vae.decoder"


def _conv(name: str, path: str, dims: int = 3, use_bias: bool = True) -> tuple[Rule, ...]:
    rules = linear(name, path, CONV_2D) if dims == 2 else linear(f"{name}.conv", path, CONV_3D)
    return rules if use_bias else rules[:1]


def _res(name: str, path: str, dims: int, shortcut: bool = False) -> list[Rule]:
    use_bias = dims == 2
    rules = [
        rule
        for i in (1, 2)
        for rule in (
            *norm(f"{name}.norm{i}", f"{path}/norm_{i}"),
            *_conv(f"{name}.conv{i}", f"{path}/conv_{i}", dims, use_bias),
        )
    ]
    if shortcut:
        published = "conv_shortcut" if dims == 2 else "conv3"
        rules += _conv(f"{name}.{published}", f"{path}/shortcut", dims, use_bias)
    return rules


def _res_chain(names: str, paths: str, layers: int, dims: int, change: bool = False) -> list[Rule]:
    """Rules of `layers` ResBlocks; the first changes the width if `change` is set."""
    return [
        rule
        for i in range(layers)
        for rule in _res(f"{names}.{i}", f"{paths}_{i}", dims, change and i == 0)
    ]


def _middle(name: str, path: str) -> list[Rule]:
    theirs, ours = f"{name}.attentions.0", f"{path}/attention"
    return [
        *_res_chain(f"{name}.resnets", f"{path}/res", 2, dims=2),
        *norm(f"{theirs}.group_norm", f"{ours}/norm"),
        *(rule for x in "qkv" for rule in linear(f"{theirs}.to_{x}", f"{ours}/{x}")),
        *linear(f"{theirs}.to_out.0", f"{ours}/out"),
    ]


def _spatial(config: VAEConfig) -> list[Rule]:
    rules = [
        *_conv(f"{_ENCODER}.conv_in", "spatial_encoder/conv_in", dims=2),
        *_middle(f"{_ENCODER}.mid_block", "spatial_encoder/middle"),
        *_middle(f"{_DECODER}.mid_block", "spatial_decoder/middle"),
        *norm(f"{_DECODER}.conv_norm_out", "spatial_decoder/norm_out"),
        *_conv(f"{_DECODER}.conv_out", "spatial_decoder/conv_out", dims=2),
    ]
    widths = config.spatial_channels
    halves = (
        (f"{_ENCODER}.down_blocks", "spatial_encoder", widths, 0, "down"),
        (f"{_DECODER}.up_blocks", "spatial_decoder", widths[::-1], 1, "up"),
    )
    for blocks, half, half_widths, extra, way in halves:
        before = half_widths[0]
        for i, width in enumerate(half_widths):
            name, path = f"{blocks}.{i}", f"{half}/scale_{i}"
            layers = config.spatial_layers + extra
            rules += _res_chain(f"{name}.resnets", f"{path}_res", layers, 2, width != before)
            if i < len(widths) - 1:
                rules += _conv(f"{name}.{way}samplers.0.conv", f"{path}_{way}", dims=2)
            before = width
    return rules


def _temporal(config: VAEConfig) -> list[Rule]:
    encoder, decoder = "temporal_encoder", "temporal_decoder"
    widths, layers = config.temporal_channels, config.temporal_layers
    rules = [
        *_conv(f"{_TIME_ENCODER}.conv_in", f"{encoder}/conv_in", use_bias=False),
        *_res_chain(f"{_TIME_ENCODER}.res_blocks", f"{encoder}/res", layers, 3),
        *norm(f"{_TIME_ENCODER}.norm1", f"{encoder}/norm_out"),
        *_conv(f"{_TIME_ENCODER}.conv2", f"{encoder}/conv_out"),
        *_conv("temporal_vae.quant_conv", "quant_conv"),
        *_conv("temporal_vae.post_quant_conv", "post_quant_conv"),
        *_conv(f"{_TIME_DECODER}.conv1", f"{decoder}/conv_in"),
        *_res_chain(f"{_TIME_DECODER}.res_blocks", f"{decoder}/res", layers, 3),
        *_res(f"{_TIME_DECODER}.upsample_block", f"{decoder}/repeated", 3),
        *norm(f"{_TIME_DECODER}.norm1", f"{decoder}/norm_out"),
        *_conv(f"{_TIME_DECODER}.conv_out", f"{decoder}/conv_out"),
    ]
    last = len(widths) - 1
    for i, width in enumerate(widths):
        for half, path, before in (
            (_TIME_ENCODER, encoder, widths[max(i - 1, 0)]),
            (_TIME_DECODER, decoder, widths[min(i + 1, last)]),
        ):
            name = f"{half}.block_res_blocks.{i}"
            rules += _res_chain(name, f"{path}/stage_{i}_res", layers, 3, width != before)
        if i < last:
            rules += _conv(f"{_TIME_ENCODER}.conv_blocks.{i}", f"{encoder}/stage_{i}_down")
        if i > 1:
            rules += _conv(f"{_TIME_DECODER}.conv_blocks.{i - 1}", f"{decoder}/stage_{i}_up")
    return rules


def table(config: VAEConfig) -> Table:
    """Table of a video VAE with these sizes."""
    features, latent = config.feature_channels, config.spatial_latent_channels
    return Table(
        rules=(
            Rule("shift", "constants/shift", "1 c 1 1 1 -> c"),
            Rule("scale", "constants/scale", "1 c 1 1 1 -> c"),
            *_spatial(config),
            *_temporal(config),
        ),
        unused={
            # Layers of the picture VAE around its own latent, which the video VAE bypasses.
            f"{_ENCODER}.conv_norm_out.weight": (features,),
            f"{_ENCODER}.conv_norm_out.bias": (features,),
            f"{_ENCODER}.conv_out.weight": (2 * latent, features, 3, 3),
            f"{_ENCODER}.conv_out.bias": (2 * latent,),
            f"{_DECODER}.conv_in.weight": (features, latent, 3, 3),
            f"{_DECODER}.conv_in.bias": (features,),
            "logvar": (),  # a weight of the published training loss
        },
    )


def infer_config(shapes: Shapes) -> VAEConfig:
    """Config inferred from the shapes of a checkpoint."""
    down, stages = f"{_ENCODER}.down_blocks.", f"{_TIME_ENCODER}.block_res_blocks."
    # At least one of each is required.
    scales, time_scales = (range(max(1, count(shapes, prefix))) for prefix in (down, stages))
    layers = [f"{down}{i}.resnets.0.conv1" for i in scales]
    layers += [f"{stages}{i}.0.conv1.conv" for i in time_scales]
    layers += [f"{_TIME_ENCODER}.conv_in.conv", "temporal_vae.post_quant_conv.conv"]
    layers += [f"{_DECODER}.conv_in"]
    *widths, (filters, *_), latent, picture_latent = weight_shapes(
        shapes, "a video VAE checkpoint", *layers
    )
    widths = [shape[0] for shape in widths]
    return VAEConfig(
        spatial_channels=tuple(widths[: len(scales)]),
        spatial_layers=count(shapes, f"{down}0.resnets."),
        spatial_latent_channels=picture_latent[1],
        temporal_filters=filters,
        temporal_multipliers=tuple(width // filters for width in widths[len(scales) :]),
        temporal_layers=count(shapes, f"{stages}0."),
        latent_channels=latent[0],
    )


def published_factors(config: VAEConfig) -> dict[str, float]:
    """Factors of tensors that give the same function with the published scaling factor.

    A published file does not state its scaling factor s. The temporal half begins with a
    convolution without bias of s times the features, and ends with a convolution divided by s.
    """
    ratio = config.scaling_factor / VAEConfig.scaling_factor
    if ratio == 1:
        return {}
    ends = {f"{_TIME_DECODER}.conv_out.conv.{each}": 1 / ratio for each in ("weight", "bias")}
    return {f"{_TIME_ENCODER}.conv_in.conv.weight": ratio, **ends}


def published_config(config: VAEConfig) -> dict[str, Any]:
    """`config.json` beside the weights, for people: all of it also follows from the shapes."""
    # `published_factors` puts the scaling factor into the weights.
    stated = dataclasses.replace(config, scaling_factor=VAEConfig.scaling_factor)
    return {"_class_name": CLASS, **dataclasses.asdict(stated)}


def config_from_published(published: Mapping) -> VAEConfig:
    """Config from the constructor arguments of the published classes, as in golden cases.

    Raises:
        ValueError: halves that do not fit together.
    """
    spatial, temporal = published["spatial"], published["temporal"]
    config = VAEConfig(
        spatial_channels=tuple(spatial["block_out_channels"]),
        spatial_layers=spatial["layers_per_block"],
        spatial_latent_channels=spatial["latent"],
        temporal_filters=temporal["filters"],
        temporal_multipliers=tuple(temporal["channel_multipliers"]),
        temporal_layers=temporal["num_res_blocks"],
        latent_channels=temporal["latent_embed_dim"],
        scaling_factor=published["scaling_factor"],
        window_frames=published["micro_frame_size"],
    )
    for field, value in (("io", config.feature_channels), ("time_downsample", config.time_factor)):
        if temporal[field] != value:
            raise ValueError(
                f"temporal {field}={temporal[field]} must be {value}, which the other sizes imply."
            )
    return config
