# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Frames in memory, uint8 RGB (f, h, w, 3), and pixels, the same in [-1, 1] for models."""

import os
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8

from mugv_jax.axes import Array, Float, Frames
from mugv_jax.video.writing import CRF, write_video

LINE_PX = 2  # even, since sizes of videos must be


class _Timed(NamedTuple):
    frames: Frames
    fps: float


class Video(_Timed):
    """Frames and their rate in frames per second, as which it unpacks, and how they were made.

    record: what `save` writes into the file beside the frames (`records.py`), or None.
    """

    record: dict[str, Any] | None

    def __new__(cls, frames: Frames, fps: float, record: dict[str, Any] | None = None) -> "Video":
        made = super().__new__(cls, frames, fps)
        made.record = record
        return made

    def save(self, path: str | os.PathLike, *, crf: int = CRF) -> None:
        """Write the video file `path`; see `write_video`."""
        write_video(path, self.frames, self.fps, crf=crf, record=self.record)


def to_pixels(frames: UInt8[np.ndarray, "*f h w 3"]) -> Float[np.ndarray, "*f h w 3"]:
    """Pixels in [-1, 1], float32, from frames in [0, 255]."""
    pixels = frames.astype(np.float32)
    pixels /= 255  # in place: a video is large
    pixels -= 0.5
    pixels /= 0.5
    return pixels


def to_frames(pixels: Float[Array | np.ndarray, "*f h w 3"]) -> UInt8[np.ndarray, "*f h w 3"]:
    """Frames in [0, 255] from pixels in [-1, 1], rounded to nearest; values outside are clamped.

    Raises:
        ValueError: NaN among the pixels.
    """
    pixels = np.asarray(pixels, np.float32)
    if np.isnan(np.min(pixels, initial=0)):
        raise ValueError("the pixels hold NaN: the model overflowed; compute in float32.")
    levels = np.clip(pixels, -1, 1)
    levels += 1  # in place: a video is large
    levels /= 2
    levels *= 255
    levels += 0.5
    return levels.astype(np.uint8)


def side_by_side(
    left: UInt8[np.ndarray, "f h w 3"], right: UInt8[np.ndarray, "f h w 3"]
) -> UInt8[np.ndarray, "f h _w 3"]:
    """Two videos of the same size joined to one, with a thin white line between them."""
    line = np.full((*left.shape[:2], LINE_PX, 3), 255, np.uint8)
    return np.concatenate([left, line, right], axis=2)
