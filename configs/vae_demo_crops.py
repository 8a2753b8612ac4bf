# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The second run of the demo's VAE: both halves, on parts of 32x32 pixels cut out of clips.

    mugv-jax train-vae --config configs/vae_demo_crops.py --output runs/vae_crops \\
        --config.run.weights=runs/vae_spatial --config.run.ema_weights=true \\
        --config.data.paths="('world',)" --config.data.holdout_split=validation

A quarter of the pixels is a quarter of the time, and four times as many steps teach more.
"""

from ml_collections import ConfigDict

from configs import vae_demo


def get_config() -> ConfigDict:
    config = vae_demo.get_config()
    config.data.size = (32, 32)
    config.data.rows = 2
    config.data.picture_rows = 16
    config.loss.adaptive_from = None
    config.loss.gan_from = None
    config.optimizer.learning_rate = 8e-3
    config.optimizer.groups = (("^spatial_", 0.3, 0.0),)  # it has learned already
    config.run.steps = 5_000
    config.checkpoint.every = 500
    config.log.validate_every = 500
    config.log.sample_every = 0
    return config
