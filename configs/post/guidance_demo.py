# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Guidance distillation of the demo's model: ten minutes on a CPU core.

    mugv-jax train --config configs/post/guidance_demo.py --output runs/unguided \\
        --config.run.weights=mugv_jax/assets/demo/dit.safetensors \\
        --config.data.paths="('clips_encoded',)"
    mugv-jax generate --dit runs/unguided "a red star moves left"
"""

from ml_collections import ConfigDict

from configs.post import dpo_demo
from configs.post.guidance import unguided


def get_config() -> ConfigDict:
    config = dpo_demo.on_a_cpu(unguided(dpo_demo.demo()))
    config = dpo_demo.annealed(config, 5e-4)
    config.objective.guidance = 3.0
    config.run.steps = 450
    return config
