# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Second stage of configs/post/rdpo.py: pairs of lighter reversal, 40 of 50 steps."""

from ml_collections import ConfigDict

from configs.post import rdpo


def get_config() -> ConfigDict:
    config = rdpo.get_config()
    config.data.paths = ("data/rdpo_40",)
    return config
