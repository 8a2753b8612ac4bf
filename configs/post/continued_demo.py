# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Plain training of the demo's model for as long as a post-training method: what it must beat.

    mugv-jax train --config configs/post/continued_demo.py --output runs/continued \\
        --config.run.weights=weights/dit.safetensors --config.data.paths="('faulty_encoded',)"
"""

from ml_collections import ConfigDict

from configs.post import dpo_demo


def get_config() -> ConfigDict:
    config = dpo_demo.on_a_cpu(dpo_demo.demo())
    config.ema.enabled = False
    return config
