# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Sizes of videos in pixels and frames, and on the latent grid of the Wan VAE (4x8x8)."""

import dataclasses
from typing import ClassVar

from mugv_jax.systems.sizes import nearest

SPATIAL, TEMPORAL = 8, 4  # pixels a side and frames of one latent


@dataclasses.dataclass(frozen=True, kw_only=True)
class WanSize:
    """Width and height in pixels, multiples of 16, and 4k+1 frames.

    A system whose VAE has another stride derives a class with another `SPATIAL`.

    Raises:
        ValueError: a size off the grid, naming the nearest valid ones.
    """

    SPATIAL: ClassVar[int] = SPATIAL
    FRAMES_FORM: ClassVar[str] = "4k+1"
    VAE: ClassVar[str] = "the Wan VAE"

    width_px: int
    height_px: int
    frames: int

    def __post_init__(self):
        stride_px = 2 * self.SPATIAL  # a token covers two rows and two columns of latents
        for name, value in (("width", self.width_px), ("height", self.height_px)):
            if value < stride_px or value % stride_px:
                raise ValueError(
                    f"{name}={value} must be a positive multiple of {stride_px} (a token's side): "
                    f"{nearest(value, 0, stride_px)}."
                )
        if self.frames < 1 or self.frames % TEMPORAL != 1:
            raise ValueError(
                f"frames={self.frames} must be 4k+1 (a first frame, then groups of 4): "
                f"{nearest(self.frames, 1, TEMPORAL)}."
            )

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """(f, h, w) of the latent."""
        frames = 1 + (self.frames - 1) // TEMPORAL
        return frames, self.height_px // self.SPATIAL, self.width_px // self.SPATIAL
