# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Measurements of mugv_jax against the same mathematics in PyTorch."""
