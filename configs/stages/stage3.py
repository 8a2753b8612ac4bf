# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Stage 3: 5 s at 720p (section 4.2.2).

    mugv-jax train --config configs/stages/stage3.py --output runs/stage3 --distributed \\
        --config.run.weights=runs/stage2 --config.run.ema_weights=true

Hardware: 512 H100 80 GB, 64 data shards of the 8 chips of a node, weights split over 64.
Hours: 187,500 steps x 64 shards x 8.729 PFLOP / (512 chips x 989 TFLOP/s x 0.30 MFU) = 192

PFLOP: one shard's part of a step (`mugv_jax/cost/flops.py`), averaged over the shapes. MFU and
memory are assumed, not measured; docs/scaling.md has the compiler's figures for v5p.

From the paper: 5 s at 720p, one pass over about 12 M clips, first-frame masking. Ours: everything
else.
"""

from ml_collections import ConfigDict

from configs import shapes
from configs.stages import stage2


def get_config() -> ConfigDict:
    config = stage2.get_config()
    config.data.paths = ("data/clips_5s_720p",)
    config.data.shapes = shapes.latents((shapes.FIVE_SECONDS,), shapes.SIZES_720P)
    config.data.tokens_per_shard = 50_402  # 1 clip
    config.mesh.fsdp = 8
    config.mesh.sequence = 8
    config.optimizer.learning_rate = 5e-5
    config.run.steps = 187_500
    return config
