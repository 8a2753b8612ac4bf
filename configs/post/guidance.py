# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Guidance distillation of MUG-V 10B: one evaluation a step in place of two (arXiv:2210.03142).

    mugv-jax train --config configs/post/guidance.py --output runs/unguided --distributed \\
        --config.run.weights=runs/sft --config.data.paths="('clips',)"
    mugv-jax generate --weights weights --lora runs/unguided "a red paper boat"

Low-rank updates, so that the teacher is the same weights without them. All settings are ours, and
no run of this size was made.
"""

from ml_collections import ConfigDict

from configs.post import dpo
from configs.stages import sft


def get_config() -> ConfigDict:
    return unguided(sft.get_config())


def unguided(config: ConfigDict) -> ConfigDict:
    """`config` with guidance distillation in place of flow matching."""
    config = dpo.preference(config)
    config.objective = ConfigDict({"name": "guidance", "guidance": 4.0})
    config.log.guidance = 1.0
    return config
