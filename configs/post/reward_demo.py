# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Reward back-propagation for the demo's model, on a CPU.

    mugv-jax train --config configs/post/reward_demo.py --output runs/reward \\
        --config.run.weights=mugv_jax/assets/demo/dit.safetensors \\
        --config.data.paths="('demo/clips_encoded',)"

The reward makes pictures warm: it shows that the machinery works, and says nothing about quality.
"""

from ml_collections import ConfigDict

from configs.post import dpo_demo
from configs.post.reward import rewarded


def get_config() -> ConfigDict:
    warm = {"load": "colour", "weight": 1.0, "red": 1.0, "green": 0.0, "blue": -1.0}
    config = dpo_demo.on_a_cpu(rewarded(dpo_demo.demo(), {"warm": warm}))
    config.objective.vae = "mugv_jax/assets/demo/vae.safetensors"
    config.objective.frames = 0
    config.objective.steps = 8
    config.data.batch = 8
    return config
