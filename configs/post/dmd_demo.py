# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Distillation of the demo's model to 2 steps without guidance, all weights, on a CPU.

    mugv-jax train --config configs/post/guidance_demo.py --output runs/unguided \\
        --config.run.weights=mugv_jax/assets/demo/dit.safetensors \\
        --config.data.paths="('clips_encoded',)"
    mugv-jax train --config configs/post/dmd_demo.py --output runs/dmd \\
        --config.run.weights=runs/unguided --config.data.paths="('clips_encoded',)"
    mugv-jax generate --dit runs/dmd "a red star moves left"

The teacher has learnt its guidance before, so that it costs one evaluation and the student starts
with it: half an hour on a core. With mugv_jax/assets/demo/dit.safetensors as the teacher,
`--config.objective.guidance=3.0` is the guidance with which the demo generates.
"""

from ml_collections import ConfigDict

from configs.post import dpo_demo
from configs.post.dmd import matched


def get_config() -> ConfigDict:
    config = dpo_demo.on_a_cpu(matched(dpo_demo.demo()))
    config = dpo_demo.annealed(config, 3e-4)
    config.objective.steps = 2
    config.objective.guidance = 1.0
    config.objective.critic_updates = 3
    config.objective.critic_rate = 2.0
    config.log.sample_steps = 2
    config.run.steps = 1_300
    return config
