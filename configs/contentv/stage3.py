# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Stage 3 of ContentV: up to 125 frames at 768x432.

    mugv-jax train --config configs/contentv/stage3.py --output runs/stage3 --distributed \\
        --config.run.weights=runs/stage2 --config.run.ema_weights=true

Hardware: 256 devices in 32 data shards of 8, which split the tokens (sequence). A step is 8
microbatches of 32 clips of 125 frames, up to 128 of one second, or 256 pictures.

From the paper (arXiv:2506.05343, 5.3 and Table 2): largest shape, both batch sizes (256 clips, 2048
pictures), learning rate, steps, buckets of one second each. Ours: everything else.
"""

from ml_collections import ConfigDict

from configs.contentv import shapes, stage2


def get_config() -> ConfigDict:
    config = stage2.get_config()
    config.data.paths = ("data/images_432p", "data/clips_432p")
    config.data.shapes = shapes.latents((shapes.IMAGE, *shapes.SECONDS), shapes.SIZES_432P)
    config.data.tokens_per_shard = 41_472  # 1 clip of 125 frames at 768x432
    config.data.max_rows = 8  # pictures
    config.mesh.sequence = 8
    config.run.accumulate = 8
    config.optimizer.learning_rate = 5e-5
    config.run.steps = 30_000
    return config
