# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Small videos of a camera over a photo."""

from pathlib import Path

import numpy as np

from mugv_jax import video
from tests.curate.photos import panned, photo, steps

FPS = 8.0


def frames(count: int = 9, size: tuple[int, int] = (48, 32), shift: float = 1.0) -> np.ndarray:
    """Frames (f h w 3) of (width, height)."""
    return panned(photo("coffee.png", 160), steps(count, (shift, 0)), size)


def write(path: Path, made: np.ndarray | None = None) -> Path:
    """Writes frames, by default `frames()`, as a video."""
    path.parent.mkdir(parents=True, exist_ok=True)
    video.write_video(path, frames() if made is None else made, FPS)
    return path
