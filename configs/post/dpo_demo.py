# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Preference training of the demo's model on pairs: seconds a step on two CPU cores.

    mugv-jax train --config configs/post/dpo_demo.py --output runs/dpo \\
        --config.run.weights=mugv_jax/assets/demo/dit.safetensors \\
        --config.data.paths="('pairs',)"
"""

from ml_collections import ConfigDict

from configs import mugv_demo
from configs.post.dpo import preference


def get_config() -> ConfigDict:
    return on_a_cpu(preference(demo()))


def demo() -> ConfigDict:
    """The config with which the demo's model was trained."""
    return mugv_demo.get_config()


def on_a_cpu(config: ConfigDict) -> ConfigDict:
    """`config` with the length and rates of a short run of the demo's model."""
    config.data.shapes = ()
    config.data.holdout = 0.1
    config.lora.rank = 16
    config.optimizer.method = "adamw"
    config.optimizer.learning_rate = 1e-4
    config.optimizer.warmup_steps = 10
    config.run.steps = 200
    return config
