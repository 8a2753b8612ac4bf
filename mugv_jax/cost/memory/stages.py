# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Predicted peak memory of every stage of a pipeline, per device; nothing is compiled or loaded.

    stage = weights + activations,    pipeline = its largest stage

since models are loaded one at a time, except those that a system keeps in memory together. Weights
are exact. Activations are the arrays alive at the worst point of a model: their sizes follow from
the code, the number of their copies from `live.py`. The driver, compiled programs and gaps of the
allocator are not included.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from mugv_jax.cost.costs import Costs
from mugv_jax.cost.memory.plan import Plan, weight_shards, widened_weights


@dataclasses.dataclass(frozen=True)
class Stage:
    """Bytes per device at the worst moment of one stage."""

    name: str
    weights: int
    activations: int

    @property
    def total(self) -> int:
        """Bytes of weights and activations together."""
        return self.weights + self.activations


def stages(
    costs: Costs, kinds: Mapping[str, str], models: Mapping[str, Any], plan: Plan
) -> Iterator[Stage]:
    """Stages of a system that have a model.

    kinds: field -> kind of its model in the registry.
    models: field -> sizes of its model; fields may be missing.
    """
    together = [field for field in costs.together if field in models]
    for task in costs.tasks:
        if task.field not in models:
            continue
        held = together if task.field in together else [task.field]
        weights = sum(
            sum(weight_shards(kinds[field], models[field], plan).values()) for field in held
        )
        config = models[task.field]
        activations = task.activations(config, plan)
        activations += widened_weights(kinds[task.field], config, plan)
        yield Stage(task.name, weights, round(activations))
