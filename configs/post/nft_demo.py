# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Online reinforcement learning of the demo's model by its checker, on a CPU.

    mugv-jax train --config configs/post/nft_demo.py --output runs/nft \\
        --config.run.weights=mugv_jax/assets/demo/dit.safetensors \\
        --config.data.paths="('samples',)"

The samples need the columns shape, colour and motion, as `mugv-jax post sample` keeps them of the
prompts of `mugv-jax demo world`. Sampling has the steps and the guidance with which the demo
generates and is measured; published is guidance 1, which also halves the cost of sampling. The old
policy is slower, and the reference closer, than published: for a hundred updates, not thousands.
"""

from ml_collections import ConfigDict

from configs.post import dpo_demo
from configs.post.nft import scored
from mugv_jax.systems.mugv.models import demo_weights


def get_config() -> ConfigDict:
    config = dpo_demo.on_a_cpu(scored(dpo_demo.demo()))
    config.objective.vae = str(demo_weights() / "vae.safetensors")
    config.objective.score.weights = {"shape": 1.0, "colour": 1.0, "motion": 1.0, "physics": 1.0}
    config.objective.frames = 0
    config.objective.steps = 8
    config.objective.guidance = 3.0
    config.objective.samples = 4
    config.objective.split = 1
    config.objective.draws = 2
    config.objective.kl_weight = 0.1
    config.objective.decay_rate = 0.05
    config.objective.decay_max = 0.9
    config.data.batch = 8
    config.run.steps = 140
    return config
