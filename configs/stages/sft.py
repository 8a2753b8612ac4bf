# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Annealed fine-tuning on the best clips, with a learning rate that falls to 0 (section 4.2.3).

    mugv-jax train --config configs/stages/sft.py --output runs/sft --distributed \\
        --config.run.weights=runs/stage3 --config.run.ema_weights=true
    mugv-jax average runs/sft dit.pt --decay 0.9

The second command makes the post-hoc average of the 25 checkpoints kept for it; try several decays.
There is no EMA, because the post-hoc average is better (paper).

Hardware: 512 H100 80 GB, 64 data shards of the 8 chips of a node, weights split over 64.
Hours: 18,750 steps x 64 shards x 8.729 PFLOP / (512 chips x 989 TFLOP/s x 0.30 MFU) = 19

PFLOP: one shard's part of a step (`mugv_jax/cost/flops.py`), averaged over the shapes. MFU and
memory are assumed, not measured. A checkpoint of this run is 130 GB (weights and two moments in
float32).

From the paper: about 0.3 M clips chosen by hand, a decaying learning rate, an exponentially decayed
average of checkpoints. Ours: four passes over the clips, the learning rates, decay 0.9.
"""

from ml_collections import ConfigDict

from configs.stages import stage3


def get_config() -> ConfigDict:
    config = stage3.get_config()
    config.data.paths = ("data/clips_best_720p",)
    config.optimizer.learning_rate = 2e-5
    config.optimizer.schedule = "annealed"
    config.optimizer.warmup_steps = 100
    config.optimizer.decay_steps = 18_650  # from the end of the warm-up to the end
    config.ema.enabled = False
    config.run.steps = 18_750
    config.checkpoint.every = 750
    config.checkpoint.archive = 750
    return config
