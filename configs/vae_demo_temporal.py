# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Second run of the demo's VAE: the temporal half, on features of the spatial half.

    mugv-jax train-vae --config configs/vae_demo_temporal.py --output runs/vae_temporal \\
        --config.run.weights=runs/vae_spatial --config.run.ema_weights=true \\
        --config.data.paths="('world',)" --config.data.holdout_split=validation

No pixels are decoded, so a step takes a third of the time of one of the whole VAE.
"""

from ml_collections import ConfigDict

from configs import vae_demo


def get_config() -> ConfigDict:
    config = vae_demo.get_config()
    config.data.rows = 2
    config.loss.mse = 1.0
    config.data.picture_rows = 16
    config.loss.adaptive_from = None
    config.loss.gan_from = None
    config.optimizer.freeze = ("^spatial_",)
    config.optimizer.learning_rate = 8e-3
    config.run.part = "temporal"
    config.run.steps = 3_000
    config.checkpoint.every = 500
    config.log.validate_every = 250
    config.log.sample_every = 0
    return config
