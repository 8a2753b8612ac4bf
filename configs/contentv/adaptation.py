# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Adaptation of Stable Diffusion 3.5 Large to the Wan VAE, on pictures (section 5.2).

    mugv-jax train --config configs/contentv/adaptation.py --output runs/adapted --distributed \\
        --config.run.weights=stable-diffusion-3.5-large/transformer

The layers of both transformers are the same; the table of positions gives way to computed ones.
Hardware: as stage 1. A step is 4096 pictures (16 on a device).

From the paper (arXiv:2506.05343, 5.2 and Table 2): shape, batch size, learning rate, steps. Ours:
everything else. The paper's model has recovered after 800 to 1600 steps.
"""

from ml_collections import ConfigDict

from configs.contentv import shapes, stage1


def get_config() -> ConfigDict:
    config = stage1.get_config()
    config.data.paths = ("data/images_288p",)
    config.data.shapes = shapes.latents((shapes.IMAGE,), shapes.SIZES_288P)
    config.data.tokens_per_shard = 5_184  # 16 pictures of 288x288
    config.data.image_share = ()
    config.run.steps = 5000
    return config
