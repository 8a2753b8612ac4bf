# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Small model before its expansion, on pictures and 2 s clips at 360p (section 4.2.1).

    mugv-jax train --config configs/stages/small.py --output runs/small --distributed

Hardware: 64 H100 80 GB, 64 data shards in groups of 8 that share the weights (fsdp).
Hours: 100,000 steps x 64 shards x 0.242 PFLOP / (64 chips x 989 TFLOP/s x 0.30 MFU) = 23

PFLOP: one shard's part of a step (`mugv_jax/cost/flops.py`), averaged over pictures, clips and
shapes. MFU and memory are assumed, not measured. The run sees 34 M pictures and 8 M clips.

From the paper: width 1728, pictures and 360p clips only. Ours: everything else.
"""

from ml_collections import ConfigDict

from configs import mugv_2b, shapes


def get_config() -> ConfigDict:
    config = mugv_2b.get_config()
    config.data.paths = ("data/images_360p", "data/clips_2s_360p")
    config.data.shapes = shapes.latents((shapes.IMAGE, shapes.TWO_SECONDS), shapes.SIZES_360P)
    config.data.tokens_per_shard = 12_604  # 2 clips, or 13 images
    config.data.holdout = 0.001
    config.data.image_share = (0.8, 0.2)
    config.data.image_share_steps = 60_000
    config.mesh.fsdp = 8
    config.optimizer.learning_rate = 1e-4
    config.optimizer.warmup_steps = 1000
    config.run.steps = 100_000
    config.run.remat = "dots"
    config.checkpoint.every = 1000
    return config
