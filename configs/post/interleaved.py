# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Post-training of MUG-V 10B on several label sources, batch by batch in turn (section 4.2.3).

    mugv-jax train --config configs/post/interleaved.py --output runs/mixed --distributed \\
        --config.run.weights=runs/sft \\
        --config.objective.sources.labels.paths="('binary',)" \\
        --config.objective.sources.pairs.paths="('pairs',)" \\
        --config.objective.sources.real.paths="('real_pairs',)" \\
        --config.objective.sources.clips.share=0

labels: clips that passed or failed (KTO), of `mugv-jax post pairs --binary`.
pairs: pairs of one caption (DPO), of `mugv-jax post pairs`.
real: reversed real clips against the model's own samples (RDPO), of `mugv-jax post reverse`.
clips: chosen clips (SFT).

The first three have the SFT term. Set share=0 of a source that you do not have. Stages one after
another are `mugv-jax curriculum --stages` with such configs. From the paper: the first three
sources, and that they are interleaved batch by batch. Ours: the fourth, equal shares and all
settings; no run of this size was made.
"""

from ml_collections import ConfigDict

from configs.post import dpo, kto, sft
from configs.stages import sft as annealed


def get_config() -> ConfigDict:
    return mixed(annealed.get_config())


def mixed(config: ConfigDict) -> ConfigDict:
    """`config` with interleaved sources in place of flow matching."""
    of_labels, of_pairs, of_clips = (
        make(ConfigDict(config)).objective for make in (kto.labelled, dpo.preference, sft.close)
    )
    config = dpo.preference(config)
    sources = {"labels": of_labels, "pairs": of_pairs, "real": of_pairs, "clips": of_clips}
    config.objective = ConfigDict({"name": "interleaved", "sources": {
        name: {
            "objective": each.to_dict(), "paths": (), "holdout_paths": (),
            "share": 1, "batch": 0, "weight": 1.0,
        }
        for name, each in sources.items()
    }})  # fmt: skip
    return config
