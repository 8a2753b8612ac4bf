# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Table of Wan2.1's VAE, for the names of the published file or of a diffusers folder."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from mugv_jax.nn.wan.vae import LATENT_DEVIATION, LATENT_MEAN, WanVAEConfig
from mugv_jax.weights.table import Rule, Shapes, Table
from mugv_jax.weights.tables.layers import CONV_2D, CONV_3D, count, linear, weight_shapes

CLASS = "AutoencoderKLWan"  # in diffusers


@dataclasses.dataclass(frozen=True)
class Names:
    """Names of the parts in one kind of file; the defaults are those of the published file.

    down: layer of the encoder, by number (`flat`).
    up_block, up: ResBlock and upsampler of the decoder, by number in the decoder (`flat`), or by
        `scale` and number in the scale (`i`).
    middle: ResBlocks around the attention.
    norm_1, conv_1, norm_2, conv_2, shortcut: parts of a ResBlock.
    """

    down: str = "encoder.downsamples.{flat}"
    up_block: str = "decoder.upsamples.{flat}"
    up: str = "decoder.upsamples.{flat}"
    middle: tuple[str, str] = ("middle.0", "middle.2")
    attention: str = "middle.1"
    conv_in: str = "conv1"
    norm_out: str = "head.0"
    conv_out: str = "head.2"
    quant_conv: str = "conv1"
    post_quant_conv: str = "conv2"
    norm_1: str = "residual.0"
    conv_1: str = "residual.2"
    norm_2: str = "residual.3"
    conv_2: str = "residual.6"
    shortcut: str = "shortcut"


PUBLISHED = Names()
DIFFUSERS = Names(
    down="encoder.down_blocks.{flat}",
    up_block="decoder.up_blocks.{scale}.resnets.{i}",
    up="decoder.up_blocks.{scale}.upsamplers.0",
    middle=("mid_block.resnets.0", "mid_block.resnets.1"),
    attention="mid_block.attentions.0",
    conv_in="conv_in",
    norm_out="norm_out",
    conv_out="conv_out",
    quant_conv="quant_conv",
    post_quant_conv="post_quant_conv",
    norm_1="norm1",
    conv_1="conv1",
    norm_2="norm2",
    conv_2="conv2",
    shortcut="conv_shortcut",
)


def _norm(name: str, path: str, ones: str = "1 1 1") -> Iterator[Rule]:
    yield Rule(f"{name}.gamma", f"params/{path}/scale", f"c {ones} -> c")


def _res(names: Names, name: str, path: str, *, shortcut: bool = False) -> Iterator[Rule]:
    yield from _norm(f"{name}.{names.norm_1}", f"{path}/norm_1")
    yield from linear(f"{name}.{names.conv_1}", f"{path}/conv_1", CONV_3D)
    yield from _norm(f"{name}.{names.norm_2}", f"{path}/norm_2")
    yield from linear(f"{name}.{names.conv_2}", f"{path}/conv_2", CONV_3D)
    if shortcut:
        yield from linear(f"{name}.{names.shortcut}", f"{path}/shortcut", CONV_3D)


def _ends(names: Names, half: str) -> Iterator[Rule]:
    """Rules of the encoder or decoder (`half`), except for its scales."""
    yield from linear(f"{half}.{names.conv_in}", f"{half}/conv_in", CONV_3D)
    for i, name in enumerate(names.middle):
        yield from _res(names, f"{half}.{name}", f"{half}/middle_res_{i}")
    name, path = f"{half}.{names.attention}", f"{half}/middle_attention"
    yield from _norm(f"{name}.norm", f"{path}/norm", ones="1 1")
    yield from linear(f"{name}.to_qkv", f"{path}/qkv", "(q o) i 1 1 -> i q o", "(q o) -> q o")
    yield from linear(f"{name}.proj", f"{path}/out", "o i 1 1 -> i o")
    yield from _norm(f"{half}.{names.norm_out}", f"{half}/norm_out")
    yield from linear(f"{half}.{names.conv_out}", f"{half}/conv_out", CONV_3D)


def _scales(config: WanVAEConfig, names: Names, half: str) -> Iterator[Rule]:
    if half == "encoder":
        widths, halved, before = config.widths, config.halve_time, config.width
        block, change, way, layers = names.down, names.down, "down", config.layers
    else:
        widths, halved, before = config.widths[::-1], config.halve_time[::-1], config.widths[-1]
        block, change, way, layers = names.up_block, names.up, "up", config.layers + 1
    flat = 0
    for scale, width in enumerate(widths):
        for i in range(layers):
            name = block.format(flat=flat, scale=scale, i=i)
            path = f"{half}/scale_{scale}_res_{i}"
            yield from _res(names, name, path, shortcut=width != before)
            flat, before = flat + 1, width
        if scale < len(halved):
            name, path = change.format(flat=flat, scale=scale), f"{half}/scale_{scale}_{way}"
            yield from linear(f"{name}.resample.1", path, CONV_2D)
            if halved[scale]:
                yield from linear(f"{name}.time_conv", f"{path}_time/conv", CONV_3D)
            flat, before = flat + 1, width if half == "encoder" else width // 2


def table(config: WanVAEConfig, names: Names = PUBLISHED) -> Table:
    """Table of a Wan VAE with these sizes."""
    rules = (
        *_ends(names, "encoder"),
        *_scales(config, names, "encoder"),
        *linear(names.quant_conv, "quant_conv", CONV_3D),
        *linear(names.post_quant_conv, "post_quant_conv", CONV_3D),
        *_scales(config, names, "decoder"),
        *_ends(names, "decoder"),
    )
    return Table(rules=rules, sizes={"q": 3})


def infer_config(shapes: Shapes, names: Names = PUBLISHED) -> WanVAEConfig:
    """Config inferred from the shapes of a checkpoint."""
    flat = range(count(shapes, names.down.removesuffix("{flat}")))
    layers = [names.down.format(flat=i) for i in flat]
    first = f"{names.down.format(flat=0)}.{names.conv_1}"
    telling = (f"encoder.{names.conv_in}", first, names.post_quant_conv)
    (width, *_), _, latent = weight_shapes(shapes, "a Wan VAE checkpoint", *telling)
    downs = [name for name in layers if f"{name}.resample.1.weight" in shapes]
    widths = [
        shapes[f"{name}.{names.conv_2}.weight"][0]
        for name, after in zip(layers, [*layers[1:], downs[0] if downs else ""], strict=True)
        if after in downs and f"{name}.{names.conv_2}.weight" in shapes
    ]
    return WanVAEConfig(
        width=width,
        multipliers=tuple(each // width for each in widths),
        layers=layers.index(downs[0]) if downs else len(layers),
        latent_channels=latent[0],
        halve_time=tuple(f"{name}.time_conv.weight" in shapes for name in downs),
    )


def config_from_published(published: Mapping) -> WanVAEConfig:
    """Config from the constructor arguments of the published class or of `AutoencoderKLWan`.

    Raises:
        ValueError: latents that are normalised with statistics other than ours.
    """
    config = WanVAEConfig(
        width=published["dim"] if "dim" in published else published["base_dim"],
        multipliers=tuple(published["dim_mult"]),
        layers=published["num_res_blocks"],
        latent_channels=published["z_dim"],
        halve_time=tuple(published["temperal_downsample"]),
    )
    for name, ours in _statistics(config.latent_channels).items():
        stated = tuple(published.get(name, ours))
        if stated != ours and len(stated) == len(ours):
            raise ValueError(f"{name}={stated} must be {ours}: this is the VAE of another model.")
    return config


def published_config(config: WanVAEConfig) -> dict[str, Any]:
    """`config.json` of an `AutoencoderKLWan`: the inverse of `config_from_published`."""
    return {
        "_class_name": CLASS,
        "base_dim": config.width,
        "z_dim": config.latent_channels,
        "dim_mult": list(config.multipliers),
        "num_res_blocks": config.layers,
        "attn_scales": [],
        "temperal_downsample": list(config.halve_time),
        "dropout": 0.0,
        **{name: list(values) for name, values in _statistics(config.latent_channels).items()},
    }


def _statistics(channels: int) -> dict[str, tuple[float, ...]]:
    """Mean and deviation with which `WanVAE` normalises latents."""
    known = channels == len(LATENT_MEAN)
    return {
        "latents_mean": LATENT_MEAN if known else (0.0,) * channels,
        "latents_std": LATENT_DEVIATION if known else (1.0,) * channels,
    }
