# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""MUG-V 10B as published; parent of the configs of other sizes.

    mugv-jax generate --weights FOLDER --config configs/mugv_10b.py "a prompt"

Given with weights, the config checks their sizes, as above. To train published weights further:

    mugv-jax train --config configs/mugv_10b.py --output runs/first \\
        --config.run.weights=dit.pt --config.data.paths="('samples',)" --config.mesh.fsdp=64

Parameters: 10,830,321,984 (DiT), 411,696,059 (VAE), 4,762,310,656 (T5), 1,772,012 (tiny
decoder, which was not published). One video of 5 s at 720p is 50,402 tokens and 146 PFLOP in 25
guided steps.
"""

from ml_collections import ConfigDict

from configs import training


def get_config() -> ConfigDict:
    config = training.get_config()
    config.update(
        {
            "dit": {
                "depth": 56,
                "width": 3456,
                "num_heads": 48,
                "in_channels": 24,
                "patch": (1, 2, 2),
                "text_dim": 4096,
                "mlp_ratio": 4.0,
            },
            "vae": {
                "spatial_channels": (128, 256, 512, 512),
                "spatial_layers": 2,
                "temporal_filters": 128,
                "temporal_multipliers": (1, 2, 2, 4),
                "temporal_layers": 4,
                "latent_channels": 24,
            },
            "text": {
                "vocab_size": 32128,
                "width": 4096,
                "head_dim": 64,
                "mlp_dim": 10240,
                "depth": 24,
                "num_heads": 64,
            },
            "tiny_decoder": {
                "latent_channels": 24,
                "width": 96,
                "layers": 8,
                "feature_channels": 32,
                "frame_widths": (96, 32),
                "frame_layers": 2,
                "patch_px": 2,
                "time_factor": 8,
                "window_frames": 48,
            },
        }
    )
    return config
