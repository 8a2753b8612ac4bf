# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Training of the demo's model on clips that passed or failed: seconds a step on two CPU cores.

    mugv-jax train --config configs/post/kto_demo.py --output runs/kto \\
        --config.run.weights=mugv_jax/assets/demo/dit.safetensors \\
        --config.data.paths="('binary',)"
"""

from ml_collections import ConfigDict

from configs.post import dpo_demo
from configs.post.kto import labelled


def get_config() -> ConfigDict:
    config = dpo_demo.on_a_cpu(labelled(dpo_demo.demo()))
    config.objective.beta = 100.0
    config.objective.undesirable_weight = 4.0  # a fifth of the clips is undesirable
    config.objective.sft_weight = 1.0
    return dpo_demo.annealed(config, 2e-4)
