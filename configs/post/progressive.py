# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Progressive distillation of MUG-V 10B to 8 steps without guidance (arXiv:2202.00512).

    mugv-jax train --config configs/post/progressive.py --output runs/eight --distributed \\
        --config.run.weights=runs/sft --config.data.paths="('clips',)"
    mugv-jax generate --weights weights --lora runs/eight "a red paper boat"

Low-rank updates, so that the teacher is the same weights without them. To go on to 4 steps, merge
them into the weights and run again with --config.objective.steps=4 --config.objective.guidance=1.
All settings are ours, and no run of this size was made.
"""

from ml_collections import ConfigDict

from configs.post import dpo
from configs.stages import sft


def get_config() -> ConfigDict:
    return fewer_steps(sft.get_config())


def fewer_steps(config: ConfigDict) -> ConfigDict:
    """`config` with progressive distillation in place of flow matching."""
    config = dpo.preference(config)
    config.objective = ConfigDict(
        {"name": "progressive", "steps": 8, "teacher_steps": 3, "guidance": 4.0}
    )
    config.log.sample_steps = 8
    config.log.guidance = 1.0
    return config
