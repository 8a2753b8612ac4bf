# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""MUG-V 4B: the published size of 4,818,161,856 parameters (DiT)."""

from ml_collections import ConfigDict

from configs import mugv_10b


def get_config() -> ConfigDict:
    config = mugv_10b.get_config()
    config.dit.width = 2304
    config.dit.num_heads = 32
    return config
