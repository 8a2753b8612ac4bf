# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""First run of the demo's VAE: the spatial half alone, on single frames.

    mugv-jax train-vae --config configs/vae_demo_spatial.py --output runs/vae_spatial \\
        --config.data.paths="('world',)" --config.data.holdout_split=validation

It stands for the picture VAE from which the paper starts; `configs/vae_demo_temporal.py` continues
from it.
"""

from ml_collections import ConfigDict

from configs import vae_demo


def get_config() -> ConfigDict:
    config = vae_demo.get_config()
    config.data.picture_share = 1.0
    config.loss.mse = 1.0
    config.loss.adaptive_from = None
    config.loss.gan_from = None
    config.optimizer.freeze = ("^temporal_", "quant_conv")
    config.optimizer.learning_rate = 8e-3
    config.optimizer.warmup_steps = 20
    config.data.picture_rows = 6
    config.run.part = "spatial"
    config.run.steps = 2_200
    config.run.statistics_batches = 1
    return config
