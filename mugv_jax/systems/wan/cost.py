# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Memory and arithmetic of Wan2.1: UMT5, WanDiT and the Wan VAE."""

import functools

from mugv_jax.cost.costs import Costs, Task
from mugv_jax.cost.flops import patches
from mugv_jax.systems import wan_cost, wan_dit_cost

COSTS = Costs(
    tasks=(
        Task("text encoder", "text", wan_dit_cost.umt5("umt5_encoder")),
        Task("DiT step", "dit", functools.partial(wan_dit_cost.step, kind="wan_dit", videos=1)),
        Task("VAE decode", "vae", wan_cost.decode),
    ),
    tokens=patches,
    forward=functools.partial(wan_dit_cost.forward, videos=1),
)
