# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""A tiny decoder of the published video VAE's latents, learnt from the VAE's own decoder.

    mugv-jax train-vae --config configs/tiny_decoder_mugv.py --output runs/tiny \\
        --config.data.paths="('clips',)" --config.run.vae=weights/vae.pt
    mugv-jax convert runs/tiny weights/tiny_decoder.safetensors --ema --dtype bfloat16

1,772,012 parameters. A clip of 49 frames is one window of generation and the frame before it; 2,000
of them, 19 GB in the run's folder, are decoded once, and 8 frames of each clip of a step are in its
loss. Steps and rates are ours, and are untested at this size.

Every group is one dataclass, whose docstring explains the fields: tiny_decoder `nn/vae/tiny.py`,
data `train/vae/pairs.py`, loss and run `train/vae/tiny_config.py`, optimizer `train/optimizer.py`,
ema and checkpoint `train/train_config.py`.
"""

from ml_collections import ConfigDict

from configs import mugv_10b, vae_mugv


def get_config() -> ConfigDict:
    config = vae_mugv.get_config()
    for group in ("vae", "discriminator", "discriminator_optimizer"):
        del config[group]
    config.tiny_decoder = mugv_10b.get_config().tiny_decoder
    config.data.frames = 49
    config.data.rows = 2
    config.data.picture_share = 0.0
    config.data.clips = 2000
    config.loss = ConfigDict({"mse": 1.0, "l1": 1.0, "perceptual": 0.1})
    config.loss.frames = 8
    config.optimizer.method = "muon"
    config.optimizer.learning_rate = 1e-3
    config.optimizer.schedule = "cosine"
    config.optimizer.warmup_steps = 500
    config.ema.decay = 0.999
    config.run = ConfigDict(
        {
            "steps": 50_000,
            "seed": 0,
            "weights": "",
            "ema_weights": False,
            "vae": "vae.pt",
            "perceptual": "",
            "dtype": "bfloat16",
            "accumulate": 1,
        }
    )
    return config
