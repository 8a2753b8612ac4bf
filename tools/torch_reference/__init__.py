# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The mathematics of MUG-V in plain PyTorch, with the names of the published checkpoints.

Reference of the benchmarks: every module is efficient PyTorch (fused attention, each token
normalised once), its `state_dict` has exactly the published names and shapes, and tests check it
against the golden cases. Layouts are the published ones, channels first.
"""

from .mugdit import MUGDiT
from .vae import VideoVAE

__all__ = ["MUGDiT", "VideoVAE"]
