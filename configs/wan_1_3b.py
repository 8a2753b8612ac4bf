# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Wan2.1 1.3B text-to-video as published (arXiv:2503.20314): WanDiT, Wan VAE and UMT5.

    mugv-jax generate --model wan --weights FOLDER --config configs/wan_1_3b.py "a prompt"

Given with weights, the config checks their sizes, as above.

    mugv-jax info configs/wan_1_3b.py --size landscape --frames 81
    mugv-jax compile --config configs/wan_1_3b.py --topology h200:1 --sampler --frames 81

These print what a video needs, and compile a step of the sampler.

Parameters: 1,418,996,800 (DiT), 126,892,531 (VAE), 5,680,910,336 (UMT5). A video of 81 frames at
832x480 is 32,760 tokens.
"""

from ml_collections import ConfigDict

from configs import enhancer


def get_config() -> ConfigDict:
    config = enhancer.get_config()  # its models, of which the DiT has one embedding more
    config.system = "wan"
    return config
