# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Supervised fine-tuning of ContentV on chosen clips, close to its start (section 6.1).

    mugv-jax train --config configs/contentv/sft.py --output runs/sft --distributed \\
        --config.run.weights=runs/stage3 --config.run.ema_weights=true

Every clip has a detailed and a short caption (`short_caption` of `mugv-jax data encode`), of which
one is drawn in every step. Hardware: as stage 3. A step is 256 clips.

From the paper (arXiv:2506.05343, 6.1 and Table 2): largest shape, batch size, steps, a tenth of the
first learning rate, gradient clipping, a penalty on the distance to the pre-trained model, one of
two captions at random. Ours: everything else, such as the weight of the penalty.
"""

from ml_collections import ConfigDict

from configs.contentv import shapes, stage3


def get_config() -> ConfigDict:
    config = stage3.get_config()
    config.data.paths = ("data/clips_best_432p",)
    config.data.shapes = shapes.latents(shapes.SECONDS, shapes.SIZES_432P)
    config.data.image_share = ()
    config.optimizer.learning_rate = 1e-5
    config.optimizer.warmup_steps = 100
    config.objective = ConfigDict({"name": "sft", "kl_weight": 0.1, "short_captions": 0.5})
    config.run.steps = 5000
    return config
