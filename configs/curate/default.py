# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Curation with the models that packages bring; nothing else is needed.

    mugv-jax data curate raw --output set
    mugv-jax data encode set --weights weights --output samples

Thresholds without another source were chosen on videos whose faults are known, and measured on
others (docs/curation.md). They hold for videos from 320 x 180 pixels on. --config.clip.folder and
--config.clip.head add aesthetic scores and CLIP's embeddings, --config.captioner.model captions.
"""

from ml_collections import ConfigDict


def threshold(column: str, low: float | None, high: float | None, unit: str, source: str) -> dict:
    """One threshold: clips are kept whose value in `column` lies in low to high, ends included."""
    return {"column": column, "low": low, "high": high, "unit": unit, "source": source}


def get_config() -> ConfigDict:
    measured = "docs/curation.md"
    return ConfigDict({
        "run": {
            "measures": (
                "borders", "sharpness", "steadiness", "motion", "watermark", "signature",
                "keypoints", "thumbnail", "text", "clip",
            ),
            "thresholds": (
                "damage", "length", "dark", "bright", "blur", "aesthetic", "freeze", "flicker",
                "shake", "motion", "borders", "text", "watermark", "filter",
            ),
            "unit_clips": 8,
            "crop": (),
            "licences": (),
        },
        "probe": {"longest_s": 43200.0, "most_pixels": 7680 * 4320},
        "shots": {"max_clip_s": 6.0, "min_frames": 9, "neural": True, "rules": {}, "sources": {}},
        "frames": {"keys": 3, "pairs": 3, "mids": 16, "key_side_px": 480},
        "motion": {"flow": "dis", "raft_weights": ""},
        "text": {"side_px": 320, "threads": 1},
        "clip": {"folder": "", "head": "", "dtype": "float32"},
        "thresholds": {
            "damage": threshold("decode_errors", None, 0, "frames", "the decoder's own marks"),
            "length": threshold("seconds", 1.0, 6.5, "s", "room for 9 frames at 8 a second"),
            "blur": threshold("steepness", 0.22, None, "", measured),
            "dark": threshold("dark", None, 0.95, "share", "a black picture"),
            "bright": threshold("bright", None, 0.95, "share", "a white picture"),
            "aesthetic": threshold("aesthetic", 4.5, None, "", "MUG-V 2.1"),
            "freeze": threshold("freeze", None, 0.45, "share", measured),
            "flicker": threshold("flicker", None, 6.0, "of 255", measured),
            "shake": threshold("shake", None, 8.0, "per mille", measured),
            "motion": threshold("motion", 0.3, 70.0, "px", "MUG-V 2.1, wider"),
            "borders": threshold("border_share", None, 0.03, "share", measured),
            "text": threshold("text_share", None, 0.03, "share", measured),
            "watermark": threshold("watermark", None, 0.05, "share", measured),
            "filter": threshold("filter_flags", None, 0, "flags", "MUG-V 2.1"),
        },
        "similar": {
            "enabled": False, "videos": 100, "least": 0.95, "densest": 0.9, "seed": 0,
        },
        "duplicates": {
            "near": 0.82, "sure": 0.94, "keypoints": 10, "same": 0.95, "embedding": 0.95,
            "neighbours": 12, "mirrored": True,
        },
        "filter": {"model": "", "base_url": "http://localhost:8000/v1"},
        "captioner": {"model": "", "base_url": "http://localhost:8000/v1"},
        "tagger": {"model": "", "base_url": "http://localhost:8000/v1"},
        "balance": {
            "by": ("subjects", "scenes"), "alpha": 1.0, "share": 1.0, "weights": {}, "seed": 0,
        },
        "best": {
            "rule": "mean", "share": 0.1,
            "parts": {
                "aesthetic": {"aesthetic": 1.0},
                "motion": {"foreground_motion": 2.0, "camera_motion": 1.0},
                "sharpness": {"sharpness": 1.0},
            },
        },
    })  # fmt: skip
