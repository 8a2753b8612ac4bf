# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""MUG-V 18B: the published size of 19,244,540,352 parameters (DiT)."""

from ml_collections import ConfigDict

from configs import mugv_10b


def get_config() -> ConfigDict:
    config = mugv_10b.get_config()
    config.dit.width = 4608
    config.dit.num_heads = 64
    return config
