# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Table of Wan2.1's VAE, for the names of the published file or of a diffusers folder."""

import dataclasses
import re
from collections.abc import Iterator, Mapping
from typing import Any

from mugv_jax.nn.wan.vae import LATENT_DEVIATION, LATENT_MEAN, WanVAEConfig
from mugv_jax.weights.table import Rule, Table

CLASS = "AutoencoderKLWan"  # in diffusers
Shapes = Mapping[str, tuple[int, ...]]
_KERNEL_3D, _KERNEL_2D = "o i f h w -> f h w i o", "o i h w -> h w i o"


@dataclasses.dataclass(frozen=True)
class Names:
    """Names of the parts in one kind of file.

    down: layer of the encoder, by number (`flat`).
    up_block, up: ResBlock and upsampler of the decoder, by number in the decoder (`flat`), or by
        `scale` and number in the scale (`i`).
    middle: ResBlocks around the attention.
    norm_1, conv_1, norm_2, conv_2, shortcut: parts of a ResBlock.
    """

    down: str
    up_block: str
    up: str
    middle: tuple[str, str]
    attention: str
    conv_in: str
    norm_out: str
    conv_out: str
    quant_conv: str
    post_quant_conv: str
    norm_1: str
    conv_1: str
    norm_2: str
    conv_2: str
    shortcut: str


PUBLISHED = Names(
    down="encoder.downsamples.{flat}",
    up_block="decoder.upsamples.{flat}",
    up="decoder.upsamples.{flat}",
    middle=("middle.0", "middle.2"),
    attention="middle.1",
    conv_in="conv1",
    norm_out="head.0",
    conv_out="head.2",
    quant_conv="conv1",
    post_quant_conv="conv2",
    norm_1="residual.0",
    conv_1="residual.2",
    norm_2="residual.3",
    conv_2="residual.6",
    shortcut="shortcut",
)
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


def _conv(name: str, path: str, axes: str = _KERNEL_3D) -> Iterator[Rule]:
    yield Rule(f"{name}.weight", f"params/{path}/kernel", axes)
    yield Rule(f"{name}.bias", f"params/{path}/bias")


def _norm(name: str, path: str, ones: str = "1 1 1") -> Iterator[Rule]:
    yield Rule(f"{name}.gamma", f"params/{path}/scale", f"c {ones} -> c")


def _res(names: Names, name: str, path: str, *, shortcut: bool = False) -> Iterator[Rule]:
    yield from _norm(f"{name}.{names.norm_1}", f"{path}/norm_1")
    yield from _conv(f"{name}.{names.conv_1}", f"{path}/conv_1")
    yield from _norm(f"{name}.{names.norm_2}", f"{path}/norm_2")
    yield from _conv(f"{name}.{names.conv_2}", f"{path}/conv_2")
    if shortcut:
        yield from _conv(f"{name}.{names.shortcut}", f"{path}/shortcut")


def _ends(names: Names, half: str) -> Iterator[Rule]:
    """Rules of the encoder or decoder (`half`), except for its scales."""
    yield from _conv(f"{half}.{names.conv_in}", f"{half}/conv_in")
    for i, name in enumerate(names.middle):
        yield from _res(names, f"{half}.{name}", f"{half}/middle_res_{i}")
    name, path = f"{half}.{names.attention}", f"{half}/middle_attention"
    yield from _norm(f"{name}.norm", f"{path}/norm", ones="1 1")
    yield Rule(f"{name}.to_qkv.weight", f"params/{path}/qkv/kernel", "(q o) i 1 1 -> i q o")
    yield Rule(f"{name}.to_qkv.bias", f"params/{path}/qkv/bias", "(q o) -> q o")
    yield from _conv(f"{name}.proj", f"{path}/out", "o i 1 1 -> i o")
    yield from _norm(f"{half}.{names.norm_out}", f"{half}/norm_out")
    yield from _conv(f"{half}.{names.conv_out}", f"{half}/conv_out")


def _encoder(config: WanVAEConfig, names: Names) -> Iterator[Rule]:
    flat, before = 0, config.width
    for scale, width in enumerate(config.widths):
        for i in range(config.layers):
            name, path = names.down.format(flat=flat), f"encoder/scale_{scale}_res_{i}"
            yield from _res(names, name, path, shortcut=width != before)
            flat, before = flat + 1, width
        if scale < len(config.halve_time):
            name, path = names.down.format(flat=flat), f"encoder/scale_{scale}_down"
            yield from _conv(f"{name}.resample.1", path, _KERNEL_2D)
            if config.halve_time[scale]:
                yield from _conv(f"{name}.time_conv", f"{path}_time/conv")
            flat += 1


def _decoder(config: WanVAEConfig, names: Names) -> Iterator[Rule]:
    flat, before = 0, config.widths[-1]
    for scale, width in enumerate(config.widths[::-1]):
        for i in range(config.layers + 1):
            name = names.up_block.format(flat=flat, scale=scale, i=i)
            path = f"decoder/scale_{scale}_res_{i}"
            yield from _res(names, name, path, shortcut=width != before)
            flat, before = flat + 1, width
        if scale < len(config.halve_time):
            name, path = names.up.format(flat=flat, scale=scale), f"decoder/scale_{scale}_up"
            yield from _conv(f"{name}.resample.1", path, _KERNEL_2D)
            if config.halve_time[::-1][scale]:
                yield from _conv(f"{name}.time_conv", f"{path}_time/conv")
            flat, before = flat + 1, width // 2


def table(config: WanVAEConfig, names: Names = PUBLISHED) -> Table:
    """Table of a Wan VAE with these sizes."""
    rules = (
        *_ends(names, "encoder"),
        *_encoder(config, names),
        *_conv(names.quant_conv, "quant_conv"),
        *_conv(names.post_quant_conv, "post_quant_conv"),
        *_decoder(config, names),
        *_ends(names, "decoder"),
    )
    return Table(rules=rules, sizes={"q": 3})


def infer_config(shapes: Shapes, names: Names = PUBLISHED) -> WanVAEConfig:
    """Config inferred from the shapes of a checkpoint.

    Raises:
        ValueError: tensors that determine the sizes are missing.
    """
    start, end = f"encoder.{names.conv_in}.weight", f"{names.post_quant_conv}.weight"
    missing = [name for name in (start, end) if name not in shapes]
    pattern = re.escape(names.down).replace(r"\{flat\}", r"(\d+)") + r"\."
    found = (re.match(pattern, name) for name in shapes)
    flat = range(1 + max((int(match[1]) for match in found if match), default=-1))
    layers = [names.down.format(flat=i) for i in flat]
    if missing or not layers:
        raise ValueError(f"not a Wan VAE checkpoint: it has no {', '.join(missing or [pattern])}.")
    width = shapes[start][0]
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
        latent_channels=shapes[end][0],
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
