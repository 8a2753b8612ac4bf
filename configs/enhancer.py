# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""MUG-V's video enhancer as published: Wan2.1's 1.3B DiT, Wan VAE and UMT5.

    mugv-jax enhance --weights FOLDER --config configs/enhancer.py --video IN.mp4 -o OUT.mp4

Given with weights, the config checks their sizes, as above.

    mugv-jax info configs/enhancer.py --size 1280x720 --frames 105
    mugv-jax compile --config configs/enhancer.py --topology v5p:2x2x1 --sampler \\
        --config.mesh.sequence=4

These print what a window of a video needs, and compile its step.

Parameters: 1,419,096,640 (DiT), 126,892,531 (VAE), 5,680,910,336 (UMT5). A window of 105 frames at
720p is 97,200 tokens.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    return ConfigDict(
        {
            "system": "enhancer",
            "dit": {
                "depth": 30,
                "width": 1536,
                "mlp_dim": 8960,
                "num_heads": 12,
                "in_channels": 16,
                "out_channels": 16,
                "patch": (1, 2, 2),
                "text_dim": 4096,
                "text_tokens": 512,
            },
            "vae": {
                "width": 96,
                "multipliers": (1, 2, 4, 4),
                "layers": 2,
                "latent_channels": 16,
                "halve_time": (False, True, True),
            },
            "text": {
                "vocab_size": 256384,
                "width": 4096,
                "head_dim": 64,
                "mlp_dim": 10240,
                "depth": 24,
                "num_heads": 64,
                "num_buckets": 32,
                "max_distance": 128,
                "shared_bias": False,
            },
            # Read by `mugv-jax compile` beside the sizes.
            "mesh": {
                "data": None,  # all devices that the other axes leave
                "fsdp": 1,
                "sequence": 1,
                "tensor": 1,
                "sequence_method": "auto",
            },
            "kernels": {"attention": None, "modulation": None},  # by platform
            "run": {"dtype": "bfloat16"},
        }
    )
