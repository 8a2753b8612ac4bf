# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Memory and arithmetic of a system, and the predicted peak memory of its stages, per device.

    stage = weights + activations,    pipeline = its largest stage

since models are loaded one at a time, except those that a system keeps in memory together. Nothing
is compiled or loaded. Weights are exact. Activations are the arrays alive at the worst point of a
model: their sizes follow from the code, the number of their copies from `memory/live.py`. The
driver, compiled programs and gaps of the allocator are not included.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

from mugv_jax.cost.flops import LatentShape
from mugv_jax.cost.memory.plan import Plan


@dataclasses.dataclass(frozen=True)
class Stage:
    """Bytes per device at the worst moment of one stage."""

    name: str
    weights: int
    activations: int

    @property
    def total(self) -> int:
        return self.weights + self.activations


@dataclasses.dataclass(frozen=True)
class Task:
    """One stage of a system's pipeline.

    name: for reports.
    field: of the model that runs.
    activations: (sizes of the model, plan) -> bytes of activations on one device.
    """

    name: str
    field: str
    activations: Callable[[Any, Plan], float]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Costs:
    """What generic code cannot know of one system's memory and arithmetic.

    tasks: stages in the order in which they run.
    together: fields of models that stay in memory beside each other.
    tokens: (sizes of the DiT, latent (f, h, w)) -> number of video tokens.
    forward: (sizes of the DiT, latent, number of text tokens) -> FLOPs of a forward pass over one
        sample.
    """

    tasks: tuple[Task, ...]
    together: tuple[str, ...] = ()
    tokens: Callable[[Any, LatentShape], int]
    forward: Callable[[Any, LatentShape, int], int]
