# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Progressive distillation of the demo's model to 2 steps without guidance, on a CPU.

    mugv-jax train --config configs/post/guidance_demo.py --output runs/unguided \\
        --config.run.weights=mugv_jax/assets/demo/dit.safetensors \\
        --config.data.paths="('clips_encoded',)"
    mugv-jax train --config configs/post/progressive_demo.py --output runs/two \\
        --config.run.weights=runs/unguided --config.data.paths="('clips_encoded',)"
    mugv-jax generate --dit runs/two "a red star moves left"

The teacher has learnt its guidance before, so that each of its 8 steps costs one evaluation: four
for each step of the student. A student of one step learns from that of two:
--config.run.weights=runs/two --config.objective.steps=1 --config.objective.teacher_steps=2.
"""

from ml_collections import ConfigDict

from configs.post import dpo_demo
from configs.post.progressive import fewer_steps


def get_config() -> ConfigDict:
    config = dpo_demo.on_a_cpu(fewer_steps(dpo_demo.demo()))
    config = dpo_demo.annealed(config, 5e-4)
    config.objective.steps = 2
    config.objective.teacher_steps = 4
    config.objective.guidance = 1.0
    config.log.sample_steps = 2
    config.run.steps = 600
    return config
