# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Online reinforcement learning of MUG-V 10B by a score (DiffusionNFT, arXiv:2509.16117).

    mugv-jax train --config configs/post/nft.py --output runs/nft --distributed \\
        --config.run.weights=runs/sft --config.data.paths="('clips',)" \\
        --config.objective.vae=vae --config.objective.score.load=my_package.my_scores:make

64 prompts and 8 samples of each, on any number of devices that divides 64: clips of 33 frames in 10
steps without guidance. The score is a placeholder. Published (for images of SD3.5 medium): steps,
guidance, beta, clip, both weights of the old policy, kl_weight, rank, rate, 48 prompts and 24
samples; the rest is ours, and no run of this size was made.
"""

from ml_collections import ConfigDict

from configs.post import dpo
from configs.stages import sft


def get_config() -> ConfigDict:
    return scored(sft.get_config())


def scored(config: ConfigDict) -> ConfigDict:
    """`config` with DiffusionNFT in place of flow matching."""
    config = dpo.preference(config)
    config.objective = ConfigDict(
        {
            "name": "nft",
            "vae": "",
            "score": {"load": "demo", "weights": {}},
            "frames": 5,
            "decode": (),
            "steps": 10,
            "guidance": 1.0,
            "samples": 8,
            "split": 8,
            "draws": 1,
            "std": "batch",
            "clip": 5.0,
            "beta": 1.0,
            "adaptive": True,
            "kl_weight": 1e-4,
            "decay_start": 0,
            "decay_rate": 0.001,
            "decay_max": 0.5,
        }
    )
    config.data.batch = 64
    config.lora.rank = 32
    config.lora.alpha = 64.0
    config.optimizer.learning_rate = 3e-4
    return config
