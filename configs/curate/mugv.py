# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Curation with the thresholds of MUG-V 10B, sections 2.1 and 2.2.

    mugv-jax data curate raw --config curate/mugv --output set \\
        --config.clip.folder=clip-vit-large-patch14 --config.clip.head=linearMSE.pth \\
        --config.captioner.model=Qwen2.5-VL-7B-Instruct \\
        --config.filter.model=Qwen2.5-VL-7B-Instruct \\
        --config.tagger.model=Qwen2.5-VL-7B-Instruct

Sharpness: variance of the Laplacian in [200, 2000]. Aesthetic score >= 4.5. Motion: mean flow of
three evenly spaced pairs in [1, 20]. A multimodal model drops text overlays, large borders, special
effects, changed speed and shake. Captions tell objects, appearance, motion and background; tags of
them stratify the set, and near duplicates go. The best 10 % are for post-training, with people and
complex motion weighted up.

The paper does not say at which resolution it measures: sharpness is measured here with the short
side at 480 pixels, motion in pixels of a frame 1280 wide. Raw videos are expected in 720p or more.
RAFT is chosen by --config.motion.flow=raft --config.motion.raft_weights=FILE.
"""

from ml_collections import ConfigDict

from configs.curate.default import get_config as default
from configs.curate.default import threshold


def get_config() -> ConfigDict:
    config = default()
    paper = "MUG-V 2.1"
    config.run.thresholds = (
        "damage", "length", "sharpness", "aesthetic", "motion", "filter", "text", "borders",
        "shake",
    )  # fmt: skip
    config.thresholds = ConfigDict({
        "damage": config.thresholds.damage,
        "length": config.thresholds.length,
        "sharpness": threshold("sharpness", 200.0, 2000.0, "", paper),
        "aesthetic": threshold("aesthetic", 4.5, None, "", paper),
        "motion": threshold("motion", 1.0, 20.0, "px", paper),
        "filter": threshold("filter_flags", None, 0, "flags", paper),
        # What the multimodal model drops in the paper, as far as it is measured without one.
        "text": config.thresholds.text,
        "borders": config.thresholds.borders,
        "shake": config.thresholds.shake,
    })  # fmt: skip
    # The paper names no distribution: this one draws rare tags twice as often as common ones that
    # are four times as many.
    config.balance.by = ("subjects", "actions", "scenes")
    config.balance.alpha = 0.5
    config.balance.share = 0.8
    config.balance.weights = ConfigDict({"person": 2.0})  # MUG-V 2.2: people weighted up
    return config
