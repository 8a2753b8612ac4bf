# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The video enhancer with tiny models; runs anywhere.

    mugv-jax enhance --random-weights --config configs/enhancer_debug.py --video IN -o OUT

There are no trained weights of this size, so the video is noise.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    return ConfigDict(
        {
            "system": "enhancer",
            "dit": {
                "depth": 2,
                "width": 96,
                "mlp_dim": 192,
                "num_heads": 4,
                "in_channels": 16,
                "out_channels": 16,
                "patch": (1, 2, 2),
                "text_dim": 64,
                "text_tokens": 512,
            },
            "vae": {
                "width": 16,
                "multipliers": (1, 1, 2, 2),
                "layers": 1,
                "latent_channels": 16,
                "halve_time": (False, True, True),
            },
            "text": {
                "vocab_size": 259,  # bytes, and three special tokens
                "width": 64,
                "head_dim": 16,
                "mlp_dim": 128,
                "depth": 2,
                "num_heads": 4,
                "num_buckets": 32,
                "max_distance": 128,
                "shared_bias": False,
            },
        }
    )
