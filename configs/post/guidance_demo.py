# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Guidance distillation of the demo's model: seconds a step on two CPU cores.

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
    config.objective.guidance = 3.0
    return config
