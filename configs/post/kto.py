# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Preference training of MUG-V 10B on clips that passed or failed (KTO with the SFT term).

    mugv-jax train --config configs/post/kto.py --output runs/kto --distributed \\
        --config.run.weights=runs/sft --config.data.paths="('binary',)"

Samples are those of `mugv-jax post pairs --binary`: a `train.csv` with the column `desirable`.

MUG-V's paper uses labels of physical errors of this kind and tells no settings: those here are
ours, and no run of this size was made.
"""

from ml_collections import ConfigDict

from configs.post import dpo
from configs.stages import sft


def get_config() -> ConfigDict:
    return labelled(sft.get_config())


def labelled(config: ConfigDict) -> ConfigDict:
    """`config` with KTO in place of flow matching."""
    config = dpo.preference(config)
    config.objective = ConfigDict(
        {"name": "kto", "beta": 2000.0, "desirable_weight": 1.0, "undesirable_weight": 1.0,
         "sft_weight": 0.1}
    )  # fmt: skip
    return config
