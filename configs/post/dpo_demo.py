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
    config = on_a_cpu(preference(demo()))
    config.objective.beta = 100.0
    config.objective.sft_weight = 15.0  # a beta so small alone moves winners away too
    config.data.batch = 16  # pairs
    return config


def demo() -> ConfigDict:
    """The config with which the demo's model was trained."""
    return mugv_demo.get_config()


def on_a_cpu(config: ConfigDict) -> ConfigDict:
    """`config` with a short run of all weights of the demo's model, 32 clips a step."""
    config.data.shapes = ()
    config.data.image_share = ()
    config.data.holdout = 0.1
    config.data.batch = 32
    config.lora.rank = 0
    config.optimizer.method = "adamw"
    config.optimizer.learning_rate = 2e-4
    config.optimizer.warmup_steps = 10
    config.run.steps = 100
    return config


def annealed(config: ConfigDict, rate: float) -> ConfigDict:
    """`config` with a learning rate that falls from `rate` to 0 over the run."""
    config.optimizer.learning_rate = rate
    config.optimizer.schedule = "cosine"
    config.optimizer.final_fraction = 0.0
    config.ema.enabled = False  # it would lag behind such a run
    return config
