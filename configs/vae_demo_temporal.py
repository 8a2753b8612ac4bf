# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The second part of the demo's VAE: its temporal half between a spatial half that stays as it is.

    mugv-jax train-vae --config configs/vae_demo_temporal.py --output runs/vae_temporal \\
        --config.run.weights=runs/vae_spatial --config.run.ema_weights=true \\
        --config.data.paths="('world',)" --config.data.holdout_split=validation

What is frozen needs no gradient of its kernels: half of the time of a step.
"""

from ml_collections import ConfigDict

from configs import vae_demo


def get_config() -> ConfigDict:
    config = vae_demo.get_config()
    config.data.picture_share = 0.0
    config.data.rows = 2
    config.loss.adaptive_from = None
    config.loss.gan_from = None
    config.optimizer.freeze = ("^spatial_",)
    config.optimizer.learning_rate = 8e-3
    config.run.windows = (8,)
    config.run.steps = 1_600
    return config
