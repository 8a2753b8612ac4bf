# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Preference training of the demo's model on pairs from real clips: seconds a step on a CPU.

    mugv-jax post reverse clips_encoded -o rdpo
    mugv-jax train --config configs/post/rdpo_demo.py --output runs/rdpo \\
        --config.run.weights=mugv_jax/assets/demo/dit.safetensors \\
        --config.data.paths="('rdpo',)"
"""

from ml_collections import ConfigDict

from configs.post import dpo_demo


def get_config() -> ConfigDict:
    return dpo_demo.get_config()
