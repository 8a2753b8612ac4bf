# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Supervised fine-tuning of MUG-V 10B that stays close to its start (ContentV's recipe).

    mugv-jax train --config configs/post/sft.py --output runs/sft --distributed \\
        --config.run.weights=runs/stage3 --config.data.paths="('clips_best',)"

A tenth of the rate of pre-training and a penalty on the distance to the pre-trained model, whose
copy is in memory. With `--config.objective.short_captions=0.5` half of the samples are trained with
the caption in the column `text_short_feat_path`. MUG-V's own annealed SFT is configs/stages/sft.py.
The weight of the penalty is ours: ContentV's paper tells none.
"""

from ml_collections import ConfigDict

from configs.stages import sft, stage3


def get_config() -> ConfigDict:
    config = close(sft.get_config())
    config.optimizer.learning_rate = stage3.get_config().optimizer.learning_rate / 10
    return config


def close(config: ConfigDict) -> ConfigDict:
    """`config` with SFT in place of flow matching."""
    config.objective = ConfigDict({"name": "sft", "kl_weight": 0.1, "short_captions": 0.0})
    return config
