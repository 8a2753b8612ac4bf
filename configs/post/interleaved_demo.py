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
    config = dpo_demo.annealed(dpo_demo.on_a_cpu(mixed(dpo_demo.demo())), 8e-4)
    config.data.batch = 16  # pairs
    sources, pairs = config.objective.sources, dpo_demo.get_config().objective.to_dict()
    sources.labels.objective = kto_demo.get_config().objective.to_dict()
    sources.pairs.objective = sources.real.objective = pairs
    sources.labels.batch = sources.clips.batch = 32  # single clips, as many as in pairs
    # Real clips mend more than the model's own. Norms of gradients, which are clipped at 1: 0.4 of
    # clips, 5 of labels, 9 of both kinds of pairs; with the weights 0.8, 0.3, 0.3 and 0.5 (real).
    sources.clips.share, sources.real.share = 6, 2
    sources.clips.weight = 2.0
    sources.labels.weight, sources.pairs.weight, sources.real.weight = 0.06, 0.03, 0.05
    return config
