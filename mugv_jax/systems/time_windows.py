# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Overlapping windows of a video of any length, and the video joined from its windows.

    y_t = (1 - w_j) previous_t + w_j window_t,   w_j = j / L

j = 0 to L - 1 counts the frames that a window shares with the previous one, whose weight is
1 at j = 0. The last window is moved back to end with the video. Both directions hold two windows
at a time, regardless of the length.
"""

import collections
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from mugv_jax.axes import Frames


class Window(NamedTuple):
    """Consecutive frames of a video, beginning with number `start`."""

    start: int
    frames: Frames


def check_windows(span: int, overlap: int) -> None:
    """Raise a ValueError for windows that would not advance."""
    if not 0 <= overlap <= span // 2:
        raise ValueError(
            f"overlap={overlap} must lie in 0 to {span // 2}, half of a window of {span} frames, "
            "so that every window is at least half new."
        )


def windows_of(
    frames: Iterable[UInt8[np.ndarray, "h w 3"]], span: int, overlap: int
) -> Iterator[Window]:
    """Windows of `span` frames that share `overlap` or more; a shorter video is one window.

    Raises:
        ValueError: no frames, or windows that would not advance.
    """
    check_windows(span, overlap)
    held = collections.deque(maxlen=span)
    count = new = 0
    for frame in frames:
        held.append(frame)
        count, new = count + 1, new + 1
        if new == (span if count <= span else span - overlap):
            yield Window(count - len(held), np.stack(held))
            new = 0
    if not count:
        raise ValueError("the video has no frames.")
    if new:
        yield Window(count - len(held), np.stack(held))


def joined(windows: Iterable[Window]) -> Iterator[Frames]:
    """Frames of a video in parts, blended from its windows in order."""
    before = None
    for window in windows:
        if before is None:
            before = window
            continue
        new = window.start - before.start
        yield before.frames[:new]
        before = Window(window.start, _blended(before.frames[new:], window.frames))
    if before is not None:
        yield before.frames


def _blended(before: Frames, frames: Frames) -> Frames:
    """`frames`, the first of which are blended with the shared frames of the previous window."""
    shared = len(before)
    weight = (np.arange(shared, dtype=np.float32) / max(1, shared))[:, None, None, None]
    mixed = (1 - weight) * before + weight * frames[:shared]
    return np.concatenate([np.round(mixed).astype(np.uint8), frames[shared:]])
