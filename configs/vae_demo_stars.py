# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Last run of the demo's VAE: both decoders on clips, 45% of them of stars that they blur.

    mugv-jax train-vae --config configs/vae_demo_stars.py --output runs/vae_stars \\
        --config.run.weights=runs/vae_frames --config.run.ema_weights=true \\
        --config.data.paths="('world','stars','stars')" \\
        --config.data.holdout_paths="('world',)" --config.data.holdout_split=validation

After `configs/vae_demo.py` stars before dark and grey backdrops are so blurred that they are read
as balls. A run of the spatial decoder on single frames (`vae_frames` in `demo/recipe.py`) precedes
this one. The encoder is frozen in both.
"""

from ml_collections import ConfigDict

from configs import vae_demo


def get_config() -> ConfigDict:
    config = vae_demo.get_config()
    config.data.rows = 4
    config.data.picture_share = 0.0
    config.loss.frames = 4
    config.loss.mse = 4.0
    config.loss.adaptive_from = None
    config.loss.gan_from = None
    config.optimizer.learning_rate = 1.5e-3
    config.optimizer.warmup_steps = 50
    config.run.steps = 1_300
    config.run.seed = 12
    config.checkpoint.every = 200
    config.checkpoint.archive = 0
    config.log.validate_every = 500
    config.log.sample_every = 0
    return config
