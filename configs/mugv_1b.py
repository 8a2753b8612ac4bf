# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""MUG-V 1B: the published size of 1,208,059,968 parameters (DiT)."""

from ml_collections import ConfigDict

from configs import mugv_10b


def get_config() -> ConfigDict:
    config = mugv_10b.get_config()
    config.dit.width = 1152
    config.dit.num_heads = 16
    return config
