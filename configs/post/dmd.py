# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Distillation of MUG-V 10B to 4 steps without guidance (DMD2, arXiv:2405.14867).

    mugv-jax train --config configs/post/dmd.py --output runs/dmd --distributed \\
        --config.run.weights=runs/sft --config.data.paths="('clips',)"
    mugv-jax generate --weights weights --lora runs/dmd "a red paper boat"

Student and critic are low-rank updates of one set of weights, which without them is the teacher.
run.steps counts updates of both: one in six is the student's. Published: uniform times in 0.02 to
0.98, five updates of the critic for one of the student (DMD2; Self Forcing the same for video, with
4 steps). Rank, rate, guidance and steps are ours, and no run of this size was made.
"""

from ml_collections import ConfigDict

from configs.post import dpo
from configs.stages import sft


def get_config() -> ConfigDict:
    return matched(sft.get_config())


def matched(config: ConfigDict) -> ConfigDict:
    """`config` with distribution matching in place of flow matching."""
    config = dpo.preference(config)
    config.objective = ConfigDict(
        {
            "name": "dmd",
            "steps": 4,
            "times": (),
            "renoise": True,
            "guidance": 4.0,
            "critic_updates": 5,
            "critic_rate": 1.0,
            "noise_range": (0.02, 0.98),
        }
    )
    config.loss.times = "uniform"
    config.run.steps = 6_000
    config.log.sample_steps = 4
    config.log.guidance = 1.0
    return config
