# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Stage 2 of ContentV: up to 125 frames at 288x288, where it learns most of its motion.

    mugv-jax train --config configs/contentv/stage2.py --output runs/stage2 --distributed \\
        --config.run.weights=runs/stage1 --config.run.ema_weights=true

Hardware: as stage 1. A step is 512 clips of 125 frames (2 on a device), up to 2304 of one second
(9), or 4096 pictures (16): every bucket has the largest batch that the token budget holds.

From the paper (arXiv:2506.05343, 5.3 and Table 2): largest shape, both batch sizes, learning rate,
steps, buckets of one second each, pictures and videos in equal parts. Ours: everything else.
"""

from ml_collections import ConfigDict

from configs.contentv import shapes, stage1


def get_config() -> ConfigDict:
    config = stage1.get_config()
    config.data.shapes = shapes.latents((shapes.IMAGE, *shapes.SECONDS), shapes.SIZES_288P)
    config.data.tokens_per_shard = 20_736  # 2 clips of 125 frames at 288x288
    config.data.max_buckets = len(config.data.shapes)
    config.data.image_share = (0.5, 0.5)
    config.data.image_share_steps = 1
    config.run.steps = 60_000
    return config
