# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The demo: a small DiT on 64x64 clips of the demo world, trained on two CPU cores (docs/demo.md).

    mugv-jax train --config configs/mugv_demo.py --output runs/demo/dit \\
        --config.data.paths="('demo/clips_encoded','demo/pictures_encoded')"

4,077,696 parameters. The VAE comes from `configs/vae_demo.py`, the text encoder from
`mugv_jax/demo/text`. Training begins with pictures and moves gradually to clips, with masking tasks
and an EMA.
"""

from ml_collections import ConfigDict

from configs import mugv_10b, tiny_decoder_demo, vae_demo


def get_config() -> ConfigDict:
    config = mugv_10b.get_config()
    config.dit.depth = 6
    config.dit.width = 192
    config.dit.num_heads = 4
    config.dit.text_dim = 128
    config.vae = vae_demo.get_config().vae
    config.tiny_decoder = tiny_decoder_demo.get_config().tiny_decoder
    config.text.vocab_size = 280  # 180 pieces, and T5's 100 sentinels
    config.text.width = 128
    config.text.head_dim = 32
    config.text.mlp_dim = 256
    config.text.depth = 3
    config.text.num_heads = 4
    config.data.text_tokens = 32
    config.data.tokens_per_shard = 1_600  # 32 clips of 50 tokens
    config.data.max_rows = 64
    config.data.shapes = ((1, 8, 8), (3, 8, 8))
    config.data.image_share = (0.6, 0.05)
    config.data.image_share_steps = 2_500
    config.data.holdout = 0.01
    config.tasks.probability.t2v = 0.6
    config.tasks.probability.i2v = 0.25
    config.tasks.probability.last = 0.05
    config.tasks.probability.first_last = 0.05
    config.tasks.probability.continuation = 0.05
    config.tasks.drop_caption.i2v = 0.1
    config.loss.shift = False  # little noise hides the structure of so small a latent
    config.loss.image_weight = 1.0
    config.optimizer.method = "muon"
    config.optimizer.learning_rate = 2e-3
    config.optimizer.schedule = "cosine"
    config.optimizer.warmup_steps = 200
    config.optimizer.final_fraction = 0.02
    config.optimizer.b2 = 0.99
    config.ema.decay = 0.999
    config.run.steps = 4_800
    config.run.dtype = "float32"
    config.run.remat = "none"
    config.checkpoint.every = 500
    config.log.every = 50
    config.log.validate_every = 500
    return config
