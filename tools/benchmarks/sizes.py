# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Sizes of the measured computations, chosen by `--size`."""

import dataclasses
import math


@dataclasses.dataclass(frozen=True, kw_only=True)
class Size:
    """Sizes of all cases at one level.

    width, heads, depth: MUGDiT's sizes.  latent: (f, h, w) of its input.
    slice_depth, train_depth: numbers of blocks in the cases that run a part of MUGDiT.
    text_tokens: keys of cross-attention, and padded length of a prompt.
    text_width, text_heads, text_mlp, text_depth: T5's sizes.
    video: (frames, height, width) in pixels.  weights_depth: blocks whose weights are read.
    check_latent: (f, h, w) of the comparison with float64.
    copy_bytes, product: for the ceilings, bytes copied and side of the square matrices.
    """

    width: int
    heads: int
    depth: int
    slice_depth: int
    train_depth: int
    latent: tuple[int, int, int]
    text_tokens: int
    text_width: int
    text_heads: int
    text_mlp: int
    text_depth: int
    video: tuple[int, int, int]
    weights_depth: int
    check_latent: tuple[int, int, int]
    copy_bytes: int
    product: int

    @property
    def frames(self) -> int:
        return self.latent[0]

    @property
    def tokens_per_frame(self) -> int:
        return math.prod(-(-side // 2) for side in self.latent[1:])

    @property
    def tokens(self) -> int:
        """Video tokens, including the start and end token."""
        return self.frames * self.tokens_per_frame + 2


SIZES = {
    # For tests: seconds on any machine.
    "tiny": Size(
        width=144,
        heads=2,
        depth=2,
        slice_depth=1,
        train_depth=2,
        latent=(3, 4, 6),
        text_tokens=10,
        text_width=64,
        text_heads=2,
        text_mlp=96,
        text_depth=2,
        video=(16, 16, 24),
        weights_depth=2,
        check_latent=(2, 4, 4),
        copy_bytes=2**22,
        product=128,
    ),
    # A part of the 1B model, for CPUs.
    "small": Size(
        width=1152,
        heads=16,
        depth=4,
        slice_depth=1,
        train_depth=2,
        latent=(6, 22, 62),
        text_tokens=300,
        text_width=768,
        text_heads=12,
        text_mlp=2048,
        text_depth=12,
        video=(16, 64, 96),
        weights_depth=16,
        check_latent=(3, 8, 10),
        copy_bytes=2**28,
        product=2048,
    ),
    # The 10B model, five seconds of 720p.
    "full": Size(
        width=3456,
        heads=48,
        depth=56,
        slice_depth=4,
        train_depth=8,
        latent=(14, 90, 160),
        text_tokens=300,
        text_width=4096,
        text_heads=64,
        text_mlp=10240,
        text_depth=24,
        video=(112, 720, 1280),
        weights_depth=8,
        check_latent=(3, 16, 20),
        copy_bytes=2**31,
        product=8192,
    ),
}
DEFAULT_SIZE = {"cpu": "small", "cuda": "full"}
