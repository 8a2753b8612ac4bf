# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Size of a video in pixels and frames, and on the latent grid of the Wan VAE (4x8x8)."""

import dataclasses

from mugv_jax.systems.mugv.size import nearest

SPATIAL, TEMPORAL = 8, 4  # of the VAE
STRIDE_PX = 2 * SPATIAL  # a token covers two rows and two columns of latents

# Width x height. ContentV is trained on seven shapes of about as many pixels as the first of them;
# the sides of the others on the grid are ours.
CONTENTV_SIZES = {
    "16:9": (768, 432),
    "3:2": (720, 480),
    "4:3": (656, 496),
    "1:1": (576, 576),
    "3:4": (496, 656),
    "2:3": (480, 720),
    "9:16": (432, 768),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class WanSize:
    """Width and height in pixels, multiples of 16, and 4k+1 frames.

    Raises:
        ValueError: a size off the grid, naming the nearest valid ones.
    """

    width_px: int
    height_px: int
    frames: int

    def __post_init__(self):
        for name, value in (("width", self.width_px), ("height", self.height_px)):
            if value < STRIDE_PX or value % STRIDE_PX:
                raise ValueError(
                    f"{name}={value} must be a positive multiple of {STRIDE_PX} (a token's side): "
                    f"{nearest(value, 0, STRIDE_PX)}."
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
        return frames, self.height_px // SPATIAL, self.width_px // SPATIAL
