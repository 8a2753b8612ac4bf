# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Preference training of MUG-V 10B on pairs from real clips, without labels (RDPO), first stage.

    mugv-jax post reverse clips_encoded --steps 50 --level 42 --weights weights -o data/rdpo_42
    mugv-jax post reverse clips_encoded --steps 50 --level 40 --weights weights -o data/rdpo_40
    mugv-jax curriculum --stages post/rdpo post/rdpo_light --output runs --distributed \\
        --config.run.weights=runs/sft

The loss is DPO with the SFT term. Published (arXiv:2506.18655): stages from heavy to light
reversal, 42 and then 40 of 50 steps, about 8,000 pairs, an SFT loss. Ours: beta, rates, rank, and
two passes over 8,000 pairs, 64 pairs a step on the mesh of configs/stages/sft.py. No run of this
size was made.
"""

from ml_collections import ConfigDict

from configs.post import dpo


def get_config() -> ConfigDict:
    config = dpo.get_config()
    config.data.paths = ("data/rdpo_42",)
    config.optimizer.warmup_steps = 20
    config.run.steps = 250
    config.checkpoint.every = 50
    return config
