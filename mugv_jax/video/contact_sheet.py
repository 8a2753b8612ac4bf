# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Contact sheets: a picture with one row of frames per video."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from mugv_jax import video
from mugv_jax.axes import Frames
from mugv_jax.video.records import png_info

FRAMES = 8  # shown of a video
SHORTEST_PX, LONGEST_PX = 192, 384  # of a frame's longer side on the sheet
GAP_PX = 6
WHITE = 255
SUFFIXES = (".png",)


def sheet_row(frames: Frames, count: int = FRAMES) -> UInt8[np.ndarray, "h w 3"]:
    """`count` evenly spaced frames from left to right, the first and the last among them.

    Small frames are enlarged by a whole factor, repeating pixels, to at most SHORTEST_PX; large
    ones are reduced by a whole factor, averaging pixels, to at most LONGEST_PX.

    Raises:
        ValueError: a video without frames.
    """
    if not len(frames):
        raise ValueError("there are no frames to show.")
    chosen = np.linspace(0, len(frames) - 1, min(count, len(frames))).round().astype(int)
    scaled = [_scaled(frames[index]) for index in chosen]
    return _joined(scaled, axis=1)


def write_contact_sheet(
    path: str | os.PathLike,
    rows: Sequence[UInt8[np.ndarray, "h w 3"]],
    record: Mapping[str, Any] | None = None,
) -> None:
    """Write rows of `sheet_row`, all of one size, below each other as a PNG file.

    record: how the videos were made, kept in the file (`records.py`).

    The file appears under its name only when it is complete.

    Raises:
        ValueError: an output that `video.prepare_output` refuses.
    """
    path = video.prepare_output(path, SUFFIXES)
    with video.completed(path) as partial:
        sheet = Image.fromarray(_joined(rows, axis=0))
        sheet.save(partial, format="PNG", pnginfo=png_info(record))


def same_width(rows: Sequence[UInt8[np.ndarray, "_ _ 3"]]) -> list[UInt8[np.ndarray, "_ w 3"]]:
    """Rows of videos of several sizes, filled up with white on the right to the widest."""
    widest = max(row.shape[1] for row in rows)
    return [
        np.pad(row, ((0, 0), (0, widest - row.shape[1]), (0, 0)), constant_values=WHITE)
        for row in rows
    ]


def _scaled(frame: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "_ _ 3"]:
    side = max(frame.shape[:2])
    enlarge, reduce = max(1, SHORTEST_PX // side), -(-side // LONGEST_PX)
    if reduce > 1:
        return np.asarray(Image.fromarray(frame).reduce(reduce))
    return frame.repeat(enlarge, axis=0).repeat(enlarge, axis=1)


def _joined(parts: Sequence[np.ndarray], axis: int) -> UInt8[np.ndarray, "_ _ 3"]:
    """Pictures in a line along `axis`, with a white gap between them."""
    shape = list(parts[0].shape)
    shape[axis] = GAP_PX
    gap = np.full(shape, WHITE, np.uint8)
    line = [part for each in parts for part in (gap, each)][1:]
    return np.concatenate(line, axis=axis)
