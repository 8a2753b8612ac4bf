# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Reward back-propagation for the demo's model, on a CPU.

    mugv-jax train --config configs/post/reward_demo.py --output runs/reward \\
        --config.run.weights=mugv_jax/assets/demo/dit.safetensors \\
        --config.data.paths="('samples',)"

The reward is the small model of `mugv-jax demo reward`, which compares five frames with the text.
"""

from ml_collections import ConfigDict

from configs.post import dpo_demo
from configs.post.reward import rewarded
from mugv_jax.systems.mugv.models import demo_weights


def get_config() -> ConfigDict:
    judged = {"demo": {"load": "demo_reward", "weight": 1.0}}
    config = dpo_demo.on_a_cpu(rewarded(dpo_demo.demo(), judged))
    config.objective.vae = str(demo_weights() / "vae.safetensors")
    config.objective.frames = 0
    config.objective.decode = (0, 4, 8, 12, 16)
    config.objective.steps = 8
    config.data.batch = 16
    config.run.steps = 30
    return dpo_demo.annealed(config, 2e-4)  # at a constant rate one of two runs lost its gain again
