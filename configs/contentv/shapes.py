# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Buckets of ContentV's stages: 7 aspect ratios by seconds, at 8 pixels and 4 frames per latent.

The paper names the ratios, buckets of one second each, and the largest shape of every stage
(arXiv:2506.05343, 5.3). The sides are ours: multiples of 16 pixels, so that no patch is padded,
with no more pixels than the largest shape.
"""

# (rows, columns) of latents; comments: width x height in pixels.
SIZES_288P = (
    (26, 48), (48, 26),  # 384x208, 208x384
    (28, 44), (44, 28),  # 352x224, 224x352
    (30, 42), (42, 30),  # 336x240, 240x336
    (36, 36),  # 288x288
)  # fmt: skip
SIZES_432P = (
    (54, 96), (96, 54),  # 768x432, 432x768
    (58, 88), (88, 58),  # 704x464, 464x704
    (62, 82), (82, 62),  # 656x496, 496x656
    (72, 72),  # 576x576
)  # fmt: skip

IMAGE = 1  # latent frames
STAGE_1 = 8  # 29 frames
SECONDS = (7, 13, 19, 25, 32)  # 25, 49, 73, 97 and 125 frames: 1 to 5 s at 24 frames per second


def latents(
    frames: tuple[int, ...], sizes: tuple[tuple[int, int], ...]
) -> tuple[tuple[int, int, int], ...]:
    """(f, h, w) of every length with every size."""
    return tuple((f, *size) for f in frames for size in sizes)
