# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""ContentV with all of its models at small sizes; runs anywhere.

    mugv-jax generate --model contentv --random-weights --config configs/contentv_debug.py \\
        --size 64x48 --frames 9 --steps 4 "a prompt"

There are no trained weights of this size, so the video is noise. A small one takes seconds on two
CPU cores.

    mugv-jax train --config configs/contentv_debug.py --output runs/first \\
        --config.data.paths="('samples',)" --config.run.steps=200

Parameters: 1,698,240 (MM-DiT), 829,635 (VAE), 19,976 and 28,896 (CLIPs), 98,944 (T5).
"""

from ml_collections import ConfigDict

from configs import contentv_8b

CLIP = {"vocab_size": 258, "mlp_dim": 64, "depth": 2, "num_heads": 2, "end": 257}  # bytes, two ends


def get_config() -> ConfigDict:
    config = contentv_8b.get_config()
    config.dit.update({"depth": 3, "num_heads": 4, "head_dim": 32, "text_dim": 64})
    config.dit.pooled_dim = 56
    config.vae.update({"width": 16, "multipliers": (1, 2, 2, 2), "layers": 1})
    config.clip_l.update({**CLIP, "width": 24, "features": 24})
    config.clip_g.update({**CLIP, "width": 32, "features": 32})
    config.text.vocab_size = 259  # bytes, and three special tokens
    config.text.update({"width": 64, "head_dim": 16, "mlp_dim": 128, "depth": 2, "num_heads": 4})
    config.run.dtype = "float32"
    config.optimizer.learning_rate = 1e-3
    return config
