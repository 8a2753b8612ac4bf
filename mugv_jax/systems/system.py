# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Systems: models that work together, and the sizes of each.

A system is a dataclass with one field a model. Its `KINDS` say which models of the registry
may fill a field, the one that random weights are made of first.
"""

import dataclasses
import typing
from collections.abc import Mapping
from typing import Any, ClassVar

from mugv_jax.nn.mmdit.model import MMDiTConfig
from mugv_jax.nn.mugdit.sizes import DiTConfig
from mugv_jax.nn.text.clip import ClipTextConfig
from mugv_jax.nn.text.t5 import T5Config
from mugv_jax.nn.vae.sizes import VAEConfig
from mugv_jax.nn.wan.dit import WanDiTConfig
from mugv_jax.nn.wan.vae import WanVAEConfig
from mugv_jax.systems.mugv.size import STRIDE

Kinds = Mapping[str, tuple[str, ...]]
WAN_VAES = ("wan_vae", "wan_vae_diffusers")  # one model, two sets of names


@dataclasses.dataclass(frozen=True, kw_only=True)
class MugvConfig:
    """MUG-V; `dit` is None where nothing is generated.

    Raises:
        ValueError: models that do not fit together, or not to the pipeline's grid.
    """

    KINDS: ClassVar[Kinds] = {"dit": ("mugv_dit",), "vae": ("mugv_vae",), "text": ("t5_encoder",)}

    dit: DiTConfig | None
    vae: VAEConfig
    text: T5Config

    def __post_init__(self):
        if self.dit is not None:
            _check_latents(self.dit.in_channels, self.vae.latent_channels)
            _check_text(self.dit.text_dim, self.text.width)
        strides = self.vae.time_factor, self.vae.spatial_factor
        if strides != (STRIDE, STRIDE):
            raise ValueError(
                f"the VAE makes one latent of {strides[0]} frames and {strides[1]} pixels a side, "
                f"but videos are planned on a grid of {STRIDE}: give spatial_channels and "
                "temporal_multipliers 4 entries each."
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class EnhancerConfig:
    """The video enhancer of MUG-V; `text` is UMT5.

    Raises:
        ValueError: models that do not fit together.
    """

    KINDS: ClassVar[Kinds] = {
        "dit": ("wan_enhancer_dit",),
        "vae": WAN_VAES,
        "text": ("umt5_encoder",),
    }

    dit: WanDiTConfig
    vae: WanVAEConfig
    text: T5Config

    def __post_init__(self):
        _check_latents(self.dit.in_channels, self.vae.latent_channels)
        _check_text(self.dit.text_dim, self.text.width)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ContentvConfig:
    """ContentV: two CLIPs (`clip_l`, `clip_g`) and T5 read the prompt.

    Raises:
        ValueError: models that do not fit together.
    """

    KINDS: ClassVar[Kinds] = {
        "dit": ("contentv_dit",),
        "vae": WAN_VAES[::-1],
        "clip_l": ("clip_text",),
        "clip_g": ("clip_text",),
        "text": ("t5_encoder",),
    }

    dit: MMDiTConfig
    vae: WanVAEConfig
    clip_l: ClipTextConfig
    clip_g: ClipTextConfig
    text: T5Config

    def __post_init__(self):
        _check_latents(self.dit.in_channels, self.vae.latent_channels)
        _check_text(self.dit.text_dim, self.text.width)
        states = self.clip_l.width + self.clip_g.width
        if states > self.text.width:
            raise ValueError(
                f"the states of both CLIPs are {states} wide together, more than T5's "
                f"{self.text.width}, to which they are filled up: they are not of one system."
            )
        pooled = self.clip_l.features + self.clip_g.features
        if self.dit.pooled_dim != pooled:
            raise ValueError(
                f"the DiT reads summaries of width {self.dit.pooled_dim}, but both CLIPs make "
                f"{pooled} together: they are not of one system."
            )


def _check_latents(read: int, made: int) -> None:
    if read != made:
        raise ValueError(
            f"the DiT takes {read} latent channels, but the VAE makes {made}: they are not of one "
            "system."
        )


def _check_text(read: int, made: int) -> None:
    if read != made:
        raise ValueError(
            f"the DiT reads text states of width {read}, but the text encoder makes {made}: they "
            "are not of one system."
        )


System = MugvConfig | EnhancerConfig | ContentvConfig
SYSTEMS: dict[str, type] = {
    "mugv": MugvConfig,
    "enhancer": EnhancerConfig,
    "contentv": ContentvConfig,
}


def model_groups(system: type) -> dict[str, type]:
    """Field -> dataclass of the sizes of its model."""
    hints = typing.get_type_hints(system)
    return {name: _dataclass_of(hints[name]) for name in system.KINDS}


def _dataclass_of(hint: Any) -> type:
    """`DiTConfig` of `DiTConfig | None`."""
    return next(part for part in (*typing.get_args(hint), hint) if dataclasses.is_dataclass(part))
