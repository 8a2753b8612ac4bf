# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Table of the video VAE, for the names of `vae.pt`."""

import re
from collections.abc import Mapping

from mugv_jax.nn.vae.sizes import VAEConfig
from mugv_jax.weights.table import Rule, Table

_KERNEL = {2: "o i h w -> h w i o", 3: "o i f h w -> f h w i o"}
_ENCODER, _DECODER = "spatial_vae.module.encoder", "spatial_vae.module.decoder"
_TIME_ENCODER, _TIME_DECODER = "temporal_vae.encoder", "temporal_vae.decoder"


def _conv(name: str, path: str, dims: int = 3, use_bias: bool = True) -> list[Rule]:
    name = name if dims == 2 else f"{name}.conv"
    rules = [Rule(f"{name}.weight", f"params/{path}/kernel", _KERNEL[dims])]
    return [*rules, Rule(f"{name}.bias", f"params/{path}/bias")] if use_bias else rules


def _norm(name: str, path: str) -> list[Rule]:
    return [
        Rule(f"{name}.weight", f"params/{path}/scale"),
        Rule(f"{name}.bias", f"params/{path}/bias"),
    ]


def _linear(name: str, path: str) -> list[Rule]:
    return [
        Rule(f"{name}.weight", f"params/{path}/kernel", "o i -> i o"),
        Rule(f"{name}.bias", f"params/{path}/bias"),
    ]


def _res(name: str, path: str, dims: int, shortcut: bool = False) -> list[Rule]:
    use_bias = dims == 2
    rules = [
        rule
        for i in (1, 2)
        for rule in (
            *_norm(f"{name}.norm{i}", f"{path}/norm_{i}"),
            *_conv(f"{name}.conv{i}", f"{path}/conv_{i}", dims, use_bias),
        )
    ]
    if shortcut:
        published = "conv_shortcut" if dims == 2 else "conv3"
        rules += _conv(f"{name}.{published}", f"{path}/shortcut", dims, use_bias)
    return rules


def _res_chain(names: str, paths: str, count: int, dims: int, change: bool = False) -> list[Rule]:
    """Rules of `count` ResBlocks; the first changes the width if `change` is set."""
    return [
        rule
        for i in range(count)
        for rule in _res(f"{names}.{i}", f"{paths}_{i}", dims, change and i == 0)
    ]


def _middle(name: str, path: str) -> list[Rule]:
    theirs, ours = f"{name}.attentions.0", f"{path}/attention"
    return [
        *_res_chain(f"{name}.resnets", f"{path}/res", 2, dims=2),
        *_norm(f"{theirs}.group_norm", f"{ours}/norm"),
        *(rule for x in "qkv" for rule in _linear(f"{theirs}.to_{x}", f"{ours}/{x}")),
        *_linear(f"{theirs}.to_out.0", f"{ours}/out"),
    ]


def _spatial(config: VAEConfig) -> list[Rule]:
    rules = [
        *_conv(f"{_ENCODER}.conv_in", "spatial_encoder/conv_in", dims=2),
        *_middle(f"{_ENCODER}.mid_block", "spatial_encoder/middle"),
        *_middle(f"{_DECODER}.mid_block", "spatial_decoder/middle"),
        *_norm(f"{_DECODER}.conv_norm_out", "spatial_decoder/norm_out"),
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
            count = config.spatial_layers + extra
            rules += _res_chain(f"{name}.resnets", f"{path}_res", count, 2, width != before)
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
        *_norm(f"{_TIME_ENCODER}.norm1", f"{encoder}/norm_out"),
        *_conv(f"{_TIME_ENCODER}.conv2", f"{encoder}/conv_out"),
        *_conv("temporal_vae.quant_conv", "quant_conv"),
        *_conv("temporal_vae.post_quant_conv", "post_quant_conv"),
        *_conv(f"{_TIME_DECODER}.conv1", f"{decoder}/conv_in"),
        *_res_chain(f"{_TIME_DECODER}.res_blocks", f"{decoder}/res", layers, 3),
        *_res(f"{_TIME_DECODER}.upsample_block", f"{decoder}/repeated", 3),
        *_norm(f"{_TIME_DECODER}.norm1", f"{decoder}/norm_out"),
        *_conv(f"{_TIME_DECODER}.conv_out", f"{decoder}/conv_out"),
    ]
    last = len(widths) - 1
    for i, width in enumerate(widths):
        names, stage = f"block_res_blocks.{i}", f"stage_{i}"
        encoder_before, decoder_before = widths[max(i - 1, 0)], widths[min(i + 1, last)]
        for half, path, before in (
            (_TIME_ENCODER, encoder, encoder_before),
            (_TIME_DECODER, decoder, decoder_before),
        ):
            rules += _res_chain(
                f"{half}.{names}", f"{path}/{stage}_res", layers, 3, width != before
            )
        if i < last:
            rules += _conv(f"{_TIME_ENCODER}.conv_blocks.{i}", f"{encoder}/{stage}_down")
        if i > 1:
            rules += _conv(f"{_TIME_DECODER}.conv_blocks.{i - 1}", f"{decoder}/{stage}_up")
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


def _count(pattern: str, shapes: Mapping[str, tuple[int, ...]]) -> int:
    """One more than the largest number that the group of `pattern` matches; 0 without any."""
    found = (re.match(pattern, name) for name in shapes)
    return 1 + max((int(match[1]) for match in found if match), default=-1)


def infer_config(shapes: Mapping[str, tuple[int, ...]]) -> VAEConfig:
    """Config inferred from the shapes of a checkpoint.

    Raises:
        ValueError: tensors that determine the sizes are missing.
    """
    down, stages = f"{_ENCODER}.down_blocks", f"{_TIME_ENCODER}.block_res_blocks"
    widths = [
        f"{down}.{i}.resnets.0.conv1.weight"
        for i in range(_count(re.escape(down) + r"\.(\d+)\.", shapes))
    ]
    time_widths = [
        f"{stages}.{i}.0.conv1.conv.weight"
        for i in range(_count(re.escape(stages) + r"\.(\d+)\.", shapes))
    ]
    latent, picture_latent = (
        "temporal_vae.post_quant_conv.conv.weight",
        f"{_DECODER}.conv_in.weight",
    )
    telling = [*(widths or [f"{down}.0.resnets.0.conv1.weight"])]
    telling += time_widths or [f"{stages}.0.0.conv1.conv.weight"]
    telling += [f"{_TIME_ENCODER}.conv_in.conv.weight", latent, picture_latent]
    missing = [name for name in telling if name not in shapes]
    if missing:
        raise ValueError(f"not a video VAE checkpoint: it has no {', '.join(missing)}.")
    filters = shapes[f"{_TIME_ENCODER}.conv_in.conv.weight"][0]
    return VAEConfig(
        spatial_channels=tuple(shapes[name][0] for name in widths),
        spatial_layers=_count(re.escape(down) + r"\.0\.resnets\.(\d+)\.", shapes),
        spatial_latent_channels=shapes[picture_latent][1],
        temporal_filters=filters,
        temporal_multipliers=tuple(shapes[name][0] // filters for name in time_widths),
        temporal_layers=_count(re.escape(stages) + r"\.0\.(\d+)\.", shapes),
        latent_channels=shapes[latent][0],
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
