# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Post-training of the demo's model on several label sources: seconds a step on two CPU cores.

    mugv-jax train --config configs/post/interleaved_demo.py --output runs/mixed \\
        --config.run.weights=mugv_jax/assets/demo/dit.safetensors \\
        --config.objective.sources.labels.paths="('binary',)" \\
        --config.objective.sources.pairs.paths="('pairs',)" \\
        --config.objective.sources.real.share=0 --config.objective.sources.clips.share=0
"""

from ml_collections import ConfigDict

from configs.post import dpo_demo, kto_demo
from configs.post.interleaved import mixed


def get_config() -> ConfigDict:
    config = dpo_demo.on_a_cpu(mixed(dpo_demo.demo()))
    config.data.batch = 16  # pairs
    sources, pairs = config.objective.sources, dpo_demo.get_config().objective.to_dict()
    sources.labels.objective = kto_demo.get_config().objective.to_dict()
    sources.pairs.objective = sources.real.objective = pairs
    sources.labels.batch = sources.clips.batch = 32  # single clips, as many as in pairs
    sources.real.share = sources.clips.share = 4  # real clips mend more than the model's own
    return config
