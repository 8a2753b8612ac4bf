# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Predicted peak memory of every stage of a pipeline, per device; nothing is compiled or loaded.

    stage = weights + activations,    pipeline = its largest stage

since models are loaded one at a time, but for those of TOGETHER. Weights are exact. Activations are
the arrays alive at the worst point of a model: their sizes follow from the code, their copies from
`live`. What the driver, the compiled programs and the allocator's gaps take comes on top.
"""

import dataclasses
import functools
from collections.abc import Iterator, Mapping
from typing import Any

from mugv_jax.cost.memory import text, transformers, vae, wan_vae
from mugv_jax.cost.memory.plan import Plan, weight_shards, widened_weights
from mugv_jax.nn.text.tokenizer import MAX_TOKENS
from mugv_jax.nn.wan.dit import WanDiTConfig
from mugv_jax.systems.contentv.models import T5_TOKENS
from mugv_jax.systems.system import ContentvConfig, EnhancerConfig, MugvConfig


@dataclasses.dataclass(frozen=True)
class Stage:
    """Bytes per device at the worst moment of one stage."""

    name: str
    weights: int
    activations: int

    @property
    def total(self) -> int:
        return self.weights + self.activations


_mugv_text = functools.partial(text.t5, kind="t5_encoder", tokens=MAX_TOKENS)
_enhancer_text = functools.partial(text.t5, kind="umt5_encoder", tokens=WanDiTConfig.text_tokens)
_contentv_text = functools.partial(text.t5, kind="t5_encoder", tokens=T5_TOKENS)
# Name, model and activations of each stage of a system, in the order in which they run.
STAGES = {
    MugvConfig: (
        ("text encoder", "text", _mugv_text),
        ("VAE encode", "vae", vae.encode),
        ("DiT step", "dit", transformers.dit_step),
        ("VAE decode", "vae", vae.decode),
    ),
    EnhancerConfig: (
        ("text encoder", "text", _enhancer_text),
        ("VAE encode", "vae", wan_vae.encode),
        ("DiT step", "dit", transformers.wan_step),
        ("VAE decode", "vae", wan_vae.decode),
    ),
    ContentvConfig: (
        ("CLIP", "clip_l", text.clip),
        ("second CLIP", "clip_g", text.clip),
        ("T5", "text", _contentv_text),
        ("DiT step", "dit", transformers.mmdit_step),
        ("VAE decode", "vae", wan_vae.decode),
    ),
}

# Fields of models that stay in memory beside each other: windows go to and fro between them.
TOGETHER = {EnhancerConfig: ("vae", "dit")}


def stages(system: type, models: Mapping[str, Any], plan: Plan) -> Iterator[Stage]:
    """The stages of those models of a system that there are; `models` are their sizes by field."""
    for name, field, activations in STAGES[system]:
        if field in models:
            config, kind = models[field], system.KINDS[field][0]
            together = TOGETHER.get(system, ())
            held = [each for each in together if each in models] if field in together else [field]
            weights = sum(_weights(system, each, models[each], plan) for each in held)
            more = activations(config, plan) + widened_weights(kind, config, plan)
            yield Stage(name, weights, round(more))


def _weights(system: type, field: str, config: Any, plan: Plan) -> int:
    return sum(weight_shards(system.KINDS[field][0], config, plan).values())
