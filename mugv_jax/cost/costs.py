# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""What generic code cannot know of a system's memory and arithmetic, handed over by the system."""

import dataclasses
from collections.abc import Callable
from typing import Any

from mugv_jax.cost.flops import LatentShape
from mugv_jax.cost.memory.plan import Plan


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
    """Memory and arithmetic of one system.

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
