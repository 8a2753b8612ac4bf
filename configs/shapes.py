# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Latent shapes on which stages train: 7 aspect ratios in two sizes, at 8 pixels per latent.

Five aspect ratios are those of the released sampler; 3:2 and 2:3 are our choice. Sides are
multiples of 16 pixels, so that no patch is padded; no size at 720p has more tokens than 1280 x 720.
"""

# (rows, columns) of latents; comments: width x height in pixels.
SIZES_360P = (
    (44, 80), (80, 44),  # 640x352, 352x640: on the grid, nearest to 16:9 at 360 lines
    (48, 74), (74, 48),  # 592x384, 384x592
    (52, 68), (68, 52),  # 544x416, 416x544
    (60, 60),  # 480x480
)  # fmt: skip
SIZES_720P = (
    (90, 160), (160, 90),  # 1280x720, 720x1280
    (98, 146), (146, 98),  # 1168x784, 784x1168
    (104, 138), (138, 104),  # 1104x832, 832x1104
    (120, 120),  # 960x960
)  # fmt: skip

IMAGE = 1  # latent frames
TWO_SECONDS = 7  # 49 frames: 2.0 s at the released trainer's 24 frames per second
FIVE_SECONDS = 14  # 105 frames, "5 s" in the released sampler: 4.4 s at 24 frames per second


def latents(
    frames: tuple[int, ...], sizes: tuple[tuple[int, int], ...]
) -> tuple[tuple[int, int, int], ...]:
    """(f, h, w) of every length with every size."""
    return tuple((f, *size) for f in frames for size in sizes)
