# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Stage 1 of ContentV: 29 frames at 288x288, first videos alone, then pictures as well.

    mugv-jax train --config configs/contentv/stage1.py --output runs/stage1 --distributed \\
        --config.run.weights=runs/adapted --config.run.ema_weights=true

Hardware: 256 devices (the paper has as many, of 64 GB), each a data shard, in groups of 8 that
share the weights (fsdp). A step is 2048 clips (8 on a device) or 4096 pictures (16).

From the paper (arXiv:2506.05343, 5.3 and Table 2): shape, both batch sizes, learning rate, steps,
flow shift 1, a phase of videos alone before pictures join in equal parts. Ours: everything else,
such as the steps in which the share of pictures grows to one half.
"""

from ml_collections import ConfigDict

from configs import contentv_8b
from configs.contentv import shapes


def get_config() -> ConfigDict:
    config = contentv_8b.get_config()
    config.data.paths = ("data/images_288p", "data/clips_288p")
    config.data.shapes = shapes.latents((shapes.IMAGE, shapes.STAGE_1), shapes.SIZES_288P)
    config.data.tokens_per_shard = 20_736  # 8 clips of 288x288
    config.data.max_rows = 16  # pictures
    config.data.holdout = 0.001
    config.data.image_share = (0.0, 0.5)
    config.data.image_share_steps = 20_000
    config.mesh.fsdp = 8
    config.optimizer.learning_rate = 1e-4
    config.optimizer.warmup_steps = 1000
    config.run.steps = 40_000
    return config
