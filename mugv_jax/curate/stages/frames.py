# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Frames of a clip, decoded once for all measures. They pass to later stages and are not stored."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from mugv_jax.bounds import require_at_least
from mugv_jax.curate.frames import Wanted, numbered
from mugv_jax.curate.stage import Row, Stage


@dataclasses.dataclass(frozen=True, kw_only=True)
class DecodedFrames(Stage):
    """Key frames, pairs of neighbouring frames, and all frames small.

        key_frames    uint8 (k h w 3), at (i + 1/2) / k of the clip, short side <= key_side_px
        pair_frames   uint8 (p 2 h w 3), pairs evenly spaced, short side <= pair_side_px
        mid_frames    uint8 (m h w 3), evenly spaced, short side <= mid_side_px
        small_frames  uint8 (f h w 3), every frame, short side <= small_side_px

    No frame is enlarged. MUG-V 2.1 takes three pairs for motion.
    """

    NAME = "frames"
    READS = ("path", "start_s", "end_s", "frames", "fps")
    PASSES = ("key_frames", "pair_frames", "mid_frames", "small_frames")
    PACKAGES = ("cv2",)

    keys: int = 3
    pairs: int = 3
    mids: int = 16
    key_side_px: int = 480
    pair_side_px: int = 256
    mid_side_px: int = 180
    small_side_px: int = 64

    def __post_init__(self):
        require_at_least(1, self, "keys", "pairs", "mids")
        require_at_least(16, self, "key_side_px", "pair_side_px", "mid_side_px", "small_side_px")

    def run(self, rows: Sequence[Row]) -> list[Row]:
        return [{**row, **self._frames(row)} for row in rows]

    def _frames(self, row: Row) -> Row:
        count = row["frames"]
        keys, firsts, mids = (evenly(count, n) for n in (self.keys, self.pairs, self.mids))
        firsts = [min(number, count - 2) for number in firsts]
        wanted = (
            Wanted(frozenset(keys), self.key_side_px),
            Wanted(frozenset(n + step for n in firsts for step in (0, 1)), self.pair_side_px),
            Wanted(frozenset(mids), self.mid_side_px),
            Wanted(None, self.small_side_px),
        )
        key, pair, mid, small = numbered(row["path"], row["start_s"], row["end_s"], wanted)
        if len(small) < count:
            raise ValueError(
                f"{row['path']!r} is damaged: {len(small)} of {count} frames can be decoded from "
                f"{row['start_s']:.2f} s on."
            )
        return {
            "key_frames": np.stack([key[number] for number in keys]),
            "pair_frames": np.stack([np.stack([pair[n], pair[n + 1]]) for n in firsts]),
            "mid_frames": np.stack([mid[number] for number in mids]),
            "small_frames": np.stack([small[number] for number in range(count)]),
        }


def evenly(count: int, number: int) -> list[int]:
    """Numbers of `number` evenly spaced frames of `count`: (i + 1/2) / number of the way."""
    return [(2 * i + 1) * count // (2 * number) for i in range(number)]
