# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Curation with the steps of ContentV 8B, section 3.

    mugv-jax data curate raw --config curate/contentv --output set \\
        --config.clip.folder=clip-vit-large-patch14 --config.clip.head=linearMSE.pth \\
        --config.captioner.model=Qwen2.5-VL-7B-Instruct

Shots of 3 to 6 seconds. Subtitles are cropped, and clips with much text are dropped; black borders
are cropped. Blur by the Laplacian. Motion: of the background by a perspective transform that is
fitted to dense flow, and of the foreground. The best 10 % are those in aesthetics and motion, the
foreground weighted higher. Captions at one frame a second. Similar long videos by k-means over
CLIP's embeddings, more of them where clusters are denser, then similar clips. The paper states no
other thresholds: those of `curate/default` stand for them.
"""

from ml_collections import ConfigDict

from configs.curate.default import get_config as default
from configs.curate.default import threshold


def get_config() -> ConfigDict:
    config = default()
    config.run.crop = ("borders", "subtitles")
    config.shots.max_clip_s = 6.0
    config.run.thresholds = (
        "damage", "length", "text", "borders", "watermark", "blur", "motion", "aesthetic",
    )  # fmt: skip
    limits = config.thresholds
    config.thresholds = ConfigDict({
        "damage": limits.damage,
        "length": threshold("seconds", 3.0, 6.0, "s", "ContentV 3"),
        # Borders and a line of subtitles are cropped: only much text, and few pixels left, count.
        "text": threshold("text_share", None, 0.12, "share", "ContentV 3: much text"),
        "borders": threshold("border_share", None, 0.5, "share", "half of the picture is left"),
        "watermark": limits.watermark,
        "blur": limits.blur,
        "motion": limits.motion,
        "aesthetic": limits.aesthetic,
    })  # fmt: skip
    config.similar.enabled = True  # ContentV 3: k-means over videos, denser ones stricter
    config.best.rule = "every"
    config.best.parts = ConfigDict({
        "aesthetic": {"aesthetic": 1.0},
        "motion": {"foreground_motion": 2.0, "camera_motion": 1.0},
    })  # fmt: skip
    return config
