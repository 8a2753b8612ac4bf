# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""MUG-V's DiT without the other models, for work on latents and text states that are stored."""

import dataclasses
import os
from typing import ClassVar, Unpack

from mugv_jax.nn.mugdit.sizes import DiTConfig
from mugv_jax.systems.models import LoadingOptions, Models, adapter_options
from mugv_jax.systems.mugv.models import demo_weights, find_dit
from mugv_jax.systems.mugv.system import SYSTEM, MugvConfig
from mugv_jax.systems.record import arguments
from mugv_jax.systems.system import Kinds, SystemConfig
from mugv_jax.weights.adapters import Adapters


@dataclasses.dataclass(frozen=True, kw_only=True)
class TransformerConfig(SystemConfig):
    """Sizes of the DiT."""

    KINDS: ClassVar[Kinds] = {"dit": MugvConfig.KINDS["dit"]}

    dit: DiTConfig


class MugvTransformer(Models[TransformerConfig]):
    """The DiT; no VAE and no text encoder need be there."""

    system = dataclasses.replace(SYSTEM, config=TransformerConfig)

    @classmethod
    def from_pretrained(
        cls,
        weights: str | os.PathLike | None,
        *,
        dit: str | os.PathLike | None = None,
        lora: Adapters | None = None,
        lora_alpha: float | None = None,
        **options: Unpack[LoadingOptions],
    ) -> "MugvTransformer":
        """The DiT of published or converted files; arguments as of `MugvModels.from_pretrained`."""
        adapter = adapter_options(lora, alpha=lora_alpha)
        path = find_dit(demo_weights() if weights is None else weights, dit)
        models = cls.from_files({"dit": path}, adapter=adapter, **options)
        models.arguments = arguments(weights=weights, dit=dit, lora=lora, lora_alpha=lora_alpha)
        return models
