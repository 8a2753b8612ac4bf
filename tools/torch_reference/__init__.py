# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The mathematics of MUG-V in plain PyTorch, named as the published checkpoints are.

What the benchmarks compare with: every module is efficient PyTorch (fused attention, each token
normalised once), its `state_dict` has exactly the published names and shapes, and the tests hold
it to the golden cases. Layouts are the published ones, channels first.
"""

from .mugdit import MUGDiT
from .vae import VideoVAE

__all__ = ["MUGDiT", "VideoVAE"]
