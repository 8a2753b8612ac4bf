# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Memory and arithmetic of the enhancer: UMT5, the Wan VAE and EnhancerDiT."""

import functools

from mugv_jax.cost.costs import Costs, Task
from mugv_jax.cost.flops import patches
from mugv_jax.systems import wan_cost, wan_dit_cost

_VIDEOS = 2  # noisy and clean: frame 0 and all other frames have their own time
COSTS = Costs(
    tasks=(
        Task("text encoder", "text", wan_dit_cost.umt5("umt5_encoder")),
        Task("VAE encode", "vae", wan_cost.encode),
        Task(
            "DiT step",
            "dit",
            functools.partial(wan_dit_cost.step, kind="wan_enhancer_dit", videos=_VIDEOS),
        ),
        Task("VAE decode", "vae", wan_cost.decode),
    ),
    together=("vae", "dit"),  # both stay loaded for all windows
    tokens=patches,
    forward=functools.partial(wan_dit_cost.forward, videos=_VIDEOS),
)
