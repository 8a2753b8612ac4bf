# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""A narrow video VAE of full compression (8x8x8, 24 channels) for small clips, such as the demo's.

    mugv-jax train-vae --config configs/vae_demo.py --output runs/vae \\
        --config.data.paths="('world',)" --config.data.holdout_split=validation
"""

from ml_collections import ConfigDict

from configs import vae_mugv


def get_config() -> ConfigDict:
    config = vae_mugv.get_config()
    config.vae.spatial_channels = (32, 64, 96, 96)
    config.vae.spatial_layers = 1
    config.vae.temporal_filters = 32
    config.vae.temporal_layers = 1
    config.data.size = (64, 64)
    config.data.frames = 17
    config.data.read_frames = 17
    config.data.rows = 8
    config.data.picture_rows = 32
    config.loss.adaptive_from = 20_000
    config.loss.gan_from = 28_000
    config.discriminator.channels = (32, 64, 128)
    for optimizer in (config.optimizer, config.discriminator_optimizer):
        optimizer.learning_rate = 5e-4
        optimizer.schedule = "cosine"
        optimizer.warmup_steps = 500
        optimizer.final_fraction = 0.02
    config.ema.decay = 0.999
    config.run.steps = 30_000
    return config
