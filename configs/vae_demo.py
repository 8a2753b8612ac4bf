# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The demo's video VAE: full compression (8x8x8, 24 channels) and narrow, for clips of 64x64.

    mugv-jax train-vae --config configs/vae_demo.py --output runs/vae \\
        --config.run.weights=runs/vae_temporal --config.run.ema_weights=true \\
        --config.data.paths="('world',)" --config.data.holdout_split=validation

5,290,379 parameters, trained on two CPU cores in three runs: `configs/vae_demo_spatial.py` trains
the spatial half on frames, `configs/vae_demo_temporal.py` the temporal half on its features, and
this config trains both decoders on whole clips through the three phases of the loss. The encoder
is frozen in it, so the latents on which the DiT is trained stay the same.
"""

from ml_collections import ConfigDict

from configs import vae_mugv


def get_config() -> ConfigDict:
    config = vae_mugv.get_config()
    config.vae.spatial_channels = (16, 16, 32, 64)
    config.vae.spatial_layers = 1
    config.vae.temporal_filters = 32
    config.vae.temporal_multipliers = (1, 2, 2, 3)
    config.vae.temporal_layers = 1
    config.data.size = (64, 64)
    config.data.frames = 17
    config.data.read_frames = 17
    config.data.rows = 1
    config.data.picture_rows = 8
    config.data.picture_share = 0.1
    config.loss.mse = 12.0
    config.loss.kl = 1e-4
    config.loss.adaptive_from = 1600
    config.loss.gan_from = 2200
    config.discriminator.channels = (16, 32, 64)
    config.optimizer.method = "muon"
    config.optimizer.learning_rate = 1e-3
    config.optimizer.freeze = ("^spatial_encoder", "^temporal_encoder", "^quant_conv")
    config.discriminator_optimizer.learning_rate = 5e-4
    for optimizer in (config.optimizer, config.discriminator_optimizer):
        optimizer.schedule = "cosine"
        optimizer.warmup_steps = 100
        optimizer.final_fraction = 0.05
    config.optimizer.b2 = 0.99
    config.ema.decay = 0.995
    config.run.steps = 2600
    config.run.windows = (8,)  # the window in which generation decodes such clips
    config.run.dtype = "float32"
    config.checkpoint.every = 50
    config.checkpoint.keep = 1
    config.checkpoint.archive = 50
    config.run.statistics_batches = 8
    config.log.every = 20
    config.log.validate_every = 100
    config.log.sample_every = 100
    return config
