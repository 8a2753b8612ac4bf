# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Modulation on TPU (Pallas, Mosaic): each operation is one kernel."""

from mugv_jax.kernels.modulate_tpu_groups import over_groups
from mugv_jax.kernels.modulate_tpu_heads import over_heads

__all__ = ("over_groups", "over_heads")
