# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Preference training of MUG-V 10B on pairs (DPO with the SFT term; section 4.2.3).

    mugv-jax train --config configs/post/dpo.py --output runs/dpo --distributed \\
        --config.run.weights=runs/sft --config.data.paths="('pairs',)"

Pairs are samples with two latents: a `train.csv` with the columns of `mugv-jax data encode` and
`lose_path`, the latent of the loser, or the same packed (`mugv-jax data pack --latent lose`).

Low-rank updates, so that the reference is the same weights without them. The paper tells the
method and no settings: beta, rate, rank and steps are ours, and no run of this size was made.
"""

from ml_collections import ConfigDict

from configs.stages import sft


def get_config() -> ConfigDict:
    return preference(sft.get_config())


def preference(config: ConfigDict) -> ConfigDict:
    """`config` with DPO in place of flow matching."""
    config.objective = ConfigDict({"name": "dpo", "beta": 2000.0, "sft_weight": 0.1})
    config.data.paths = ()
    config.data.image_share = ()
    config.lora.rank = 64
    config.ema.enabled = False
    config.optimizer.learning_rate = 1e-5
    config.optimizer.schedule = "constant"
    config.optimizer.decay_steps = 0
    config.run.steps = 1_000
    config.checkpoint.every = 100
    config.checkpoint.archive = 0
    config.log.every = 10
    return config
