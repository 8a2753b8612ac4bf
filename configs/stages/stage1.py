# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Stage 1 of the 10B: pictures and 2 s clips at 360p, the pictures decreasing (section 4.2.2).

    mugv-jax curriculum --stages configs/stages/small.py configs/stages/stage1.py --output runs \\
        --distributed

This starts from the expanded small model. `mugv-jax train` with run.weights starts from any other.

Hardware: 512 H100 80 GB (the paper has 500), 512 data shards, weights split over 64.
Hours: 100,000 steps x 512 shards x 0.431 PFLOP / (512 chips x 989 TFLOP/s x 0.30 MFU) = 40

PFLOP: one shard's part of a step (`mugv_jax/cost/flops.py`), averaged over pictures, clips and
shapes. MFU and memory are assumed, not measured. The run sees 70 M pictures and 41 M clips.

From the paper: pictures and 2 s clips at 360p, pictures annealed until clips dominate, and more
than ten times as many samples in stages 1 and 2 together as in stage 3. Ours: everything else.
"""

from ml_collections import ConfigDict

from configs import mugv_10b, shapes


def get_config() -> ConfigDict:
    config = mugv_10b.get_config()
    config.data.paths = ("data/images_360p", "data/clips_2s_360p")
    config.data.shapes = shapes.latents((shapes.IMAGE, shapes.TWO_SECONDS), shapes.SIZES_360P)
    config.data.tokens_per_shard = 6_302  # 1 clip, or 6 images
    config.data.holdout = 0.001
    config.data.image_share = (0.5, 0.1)
    config.data.image_share_steps = 50_000
    config.mesh.fsdp = 64
    config.optimizer.learning_rate = 1e-4
    config.optimizer.warmup_steps = 1000
    config.run.steps = 100_000
    config.run.remat = "dots"
    config.checkpoint.every = 500
    return config
