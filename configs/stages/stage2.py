# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Stage 2: from 2 s to 5 s at 360p, sometimes with a given first frame (section 4.2.2).

    mugv-jax train --config configs/stages/stage2.py --output runs/stage2 --distributed \\
        --config.run.weights=runs/stage1 --config.run.ema_weights=true

Hardware: 512 H100 80 GB, 256 data shards of 2 chips, weights split over 64.
Hours: 100,000 steps x 256 shards x 0.978 PFLOP / (512 chips x 989 TFLOP/s x 0.30 MFU) = 46

PFLOP: one shard's part of a step (`mugv_jax/cost/flops.py`), averaged over the shapes. MFU and
memory are assumed, not measured. The run sees 38 M clips.

From the paper: 360p, 2 s to 5 s, first-frame masking, training until the validation loss is flat;
so watch `validation/loss` and set run.steps. Ours: everything else. A clip goes to the longest
bucket that it fills, so the mix of lengths is that of the data.
"""

from ml_collections import ConfigDict

from configs import shapes
from configs.stages import stage1


def get_config() -> ConfigDict:
    config = stage1.get_config()
    config.data.paths = ("data/clips_5s_360p",)
    config.data.shapes = shapes.latents(
        (shapes.TWO_SECONDS, shapes.FIVE_SECONDS), shapes.SIZES_360P
    )
    config.data.tokens_per_shard = 12_604  # 1 clip of 5 s, or 2 of 2 s
    config.data.image_share = ()
    config.data.image_share_steps = 1
    config.mesh.fsdp = 32
    config.mesh.sequence = 2
    config.tasks.probability.t2v = 0.5
    config.tasks.probability.i2v = 0.5
    return config
