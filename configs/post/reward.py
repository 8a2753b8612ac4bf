# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Reward back-propagation for MUG-V 10B (ContentV, arXiv:2506.05343, section 6).

    mugv-jax train --config configs/post/reward.py --output runs/reward --distributed \\
        --config.run.weights=runs/sft --config.data.paths="('clips',)" \\
        --config.objective.vae=vae --config.objective.rewards.pick.folder=PickScore_v1

Samples need the column `caption`, which the reward reads. Short clips of 33 frames (published: 29,
of another VAE) with only the first one decoded, as published. The published reward is MPS; ours is
PickScore, a model of the same kind: its folder holds the model and its tokenizer. Steps, K, rate
and rank are ours, and no run of this size was made.
"""

from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from configs.post import dpo
from configs.stages import sft


def get_config() -> ConfigDict:
    pick = {"load": "pickscore", "weight": 0.1, "folder": "PickScore_v1", "dtype": "bfloat16"}
    return rewarded(sft.get_config(), {"pick": pick})


def rewarded(config: ConfigDict, rewards: Mapping[str, Mapping[str, Any]]) -> ConfigDict:
    """`config` with reward back-propagation in place of flow matching."""
    config = dpo.preference(config)
    config.objective = ConfigDict(
        {
            "name": "reward",
            "vae": "",
            "rewards": rewards,
            "frames": 5,
            "decode": (0,),
            "steps": 25,
            "guidance": 1.0,
            "chosen": 2,
            "kl_weight": 0.1,
            "sft_weight": 0.0,
        }
    )
    return config
