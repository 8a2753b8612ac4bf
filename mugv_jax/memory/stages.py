# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Predicted peak memory of every stage of a pipeline, per device; nothing is compiled or loaded.

    stage = weights + activations,    pipeline = its largest stage

since models are loaded one at a time. Weights are exact. Activations are the arrays alive at the
worst point of a model: their sizes follow from the code, their copies from `live`. What the driver,
the compiled programs and the allocator's gaps take comes on top.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from mugv_jax.memory import transformers, vae
from mugv_jax.memory.plan import Plan, weight_shards, widened_weights


@dataclasses.dataclass(frozen=True)
class Stage:
    """Bytes per device at the worst moment of one stage."""

    name: str
    weights: int
    activations: int

    @property
    def total(self) -> int:
        return self.weights + self.activations


# Name, model and activations of each stage, in the order in which they run.
STAGES = (
    ("text encoder", "t5_encoder", transformers.text_encoder),
    ("VAE encode", "mugv_vae", vae.encode),
    ("DiT step", "mugv_dit", transformers.dit_step),
    ("VAE decode", "mugv_vae", vae.decode),
)


def stages(configs: Mapping[str, Any], plan: Plan) -> Iterator[Stage]:
    """The stages of those models that `configs` (by kind) holds."""
    for name, kind, activations in STAGES:
        if kind in configs:
            config = configs[kind]
            weights = sum(weight_shards(kind, config, plan).values())
            more = activations(config, plan) + widened_weights(kind, config, plan)
            yield Stage(name, weights, round(more))
