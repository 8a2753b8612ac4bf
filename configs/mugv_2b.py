# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""MUG-V 2B: the paper's small model, whose width is doubled to make the 10B (section 4.2).

2,712,853,632 parameters (DiT).
"""

from ml_collections import ConfigDict

from configs import mugv_10b


def get_config() -> ConfigDict:
    config = mugv_10b.get_config()
    config.dit.width = 1728
    config.dit.num_heads = 24
    return config
