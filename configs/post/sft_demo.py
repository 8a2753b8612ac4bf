# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Supervised fine-tuning of the demo's model: about a second a step on two CPU cores.

    mugv-jax train --config configs/post/sft_demo.py --output runs/sft \\
        --config.run.weights=mugv_jax/assets/demo/dit.safetensors \\
        --config.data.paths="('clean_encoded',)"

The rate falls to 0 (annealing), and checkpoints are kept for `mugv-jax average`.
"""

from ml_collections import ConfigDict

from configs.post import dpo_demo
from configs.post.sft import close


def get_config() -> ConfigDict:
    config = dpo_demo.annealed(dpo_demo.on_a_cpu(close(dpo_demo.demo())), 4e-4)
    config.checkpoint.every = 25
    config.checkpoint.archive = 25
    return config
