# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Rewards with a gradient: scores of pictures by published models in local files.

Training takes them by name, for example in `objective.rewards`:

    {"pick": {"load": "mugv_jax.rewards.models:PickScore", "folder": "PickScore_v1", "weight": 1.0}}
"""
