# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Wan2.1 text-to-video with tiny models; runs anywhere.

    mugv-jax generate --model wan --random-weights --config configs/wan_debug.py \\
        --size 64x48 --frames 9 --steps 4 "a prompt"

There are no trained weights of this size, so the video is noise.
"""

from ml_collections import ConfigDict

from configs import enhancer_debug


def get_config() -> ConfigDict:
    config = enhancer_debug.get_config()
    config.system = "wan"
    return config
