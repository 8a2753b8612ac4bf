# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The demo's tiny decoder, learnt from the decoder of the demo's video VAE on clips of 64x64.

    mugv-jax train-vae --config configs/tiny_decoder_demo.py --output runs/tiny \\
        --config.data.paths="('world',)" --config.data.holdout_split=validation

222,512 parameters. The clips are those on which the VAE is trained (docs/demo.md).
"""

from ml_collections import ConfigDict

from configs import tiny_decoder_mugv
from mugv_jax.systems.mugv.models import demo_weights


def get_config() -> ConfigDict:
    config = tiny_decoder_mugv.get_config()
    config.tiny_decoder.width = 64
    config.tiny_decoder.layers = 2
    config.tiny_decoder.feature_channels = 48
    config.tiny_decoder.frame_widths = (24,)
    config.tiny_decoder.patch_px = 4
    config.data.size = (64, 64)
    config.data.frames = 17
    config.data.read_frames = 17
    config.data.rows = 2
    config.data.clips = 800
    config.loss.mse = 2.0
    config.loss.frames = 4
    config.optimizer.learning_rate = 4e-3
    config.optimizer.warmup_steps = 50
    config.optimizer.b2 = 0.99
    config.optimizer.final_fraction = 0.05
    config.ema.decay = 0.99
    config.run.vae = str(demo_weights() / "vae.safetensors")
    config.run.steps = 10_000
    config.run.dtype = "float32"
    config.checkpoint.every = 500
    config.checkpoint.keep = 1
    config.log.every = 100
    config.log.validate_every = 1000
    config.log.sample_every = 0
    return config
