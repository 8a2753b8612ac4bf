# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Frames as CLIP reads them, differentiable with respect to their pixels.

    x = (resize((pixels + 1) / 2) - MEAN) / DEVIATION

The published preprocessing is that of Pillow on 8-bit pictures: bicubic (Keys, a = -0.5) with
antialiasing, columns before rows, and clipped after each. This one differs only by not rounding.
"""

import jax
import jax.numpy as jnp

from mugv_jax.axes import Array, Float
from mugv_jax.nn.layers import match_rank

# Of the colours of CLIP's training pictures, for pixels in [0, 1] (arXiv:2103.00020, its code).
MEAN = (0.48145466, 0.4578275, 0.40821073)
DEVIATION = (0.26862954, 0.26130258, 0.27577711)
CROP, PAD = "crop", "pad"


def preprocess(
    frames: Float[Array, "b _h _w 3"], side_px: int, fit: str = CROP
) -> Float[Array, "b _y _x 3"]:
    """Normalised square pictures of `side_px`, float32, from frames in [-1, 1].

    fit: "crop" scales the short side to `side_px` and crops the middle, as `CLIPImageProcessor`
        of transformers does; "pad" scales the long side and adds black on both sides.

    Values beyond [-1, 1], which a decoder may give and no file can hold, are clipped: there the
    gradient is zero, so a reward cannot be raised by them.

    Raises:
        ValueError: an unknown `fit`.
    """
    if fit not in (CROP, PAD):
        raise ValueError(f"fit={fit!r} must be {CROP} or {PAD}.")
    size = frames.shape[1:3]
    x = jnp.clip(frames.astype(jnp.float32), -1, 1) / 2 + 0.5
    for axis in (2, 1):
        x = _resized(x, axis, _scaled(size, side_px, fit)[axis - 1])
    x = _cropped(x, side_px) if fit == CROP else _padded(x, side_px)
    mean, deviation = (match_rank(jnp.asarray(each), x) for each in (MEAN, DEVIATION))
    return (x - mean) / deviation


def _scaled(size: tuple[int, ...], side_px: int, fit: str) -> tuple[int, ...]:
    """Size of the scaled picture; the published codes round the other side in these two ways."""
    if fit == CROP:
        return tuple(int(side_px * each / min(size)) for each in size)
    return tuple(max(1, round(each * (side_px / max(size)))) for each in size)


def _resized(x: Float[Array, "b _h _w 3"], axis: int, length: int) -> Float[Array, "b _y _x 3"]:
    """`x` with one side scaled to `length` pixels, clipped where the kernel overshoots."""
    shape = (*x.shape[:axis], length, *x.shape[axis + 1 :])
    return jnp.clip(jax.image.resize(x, shape, "cubic", antialias=True), 0, 1)


def _cropped(x: Float[Array, "b _h _w 3"], side_px: int) -> Float[Array, "b _y _x 3"]:
    top, left = ((length - side_px) // 2 for length in x.shape[1:3])
    return x[:, top : top + side_px, left : left + side_px]


def _padded(x: Float[Array, "b _h _w 3"], side_px: int) -> Float[Array, "b _y _x 3"]:
    lacking = [side_px - length for length in x.shape[1:3]]
    around = [(each // 2, each - each // 2) for each in lacking]
    return jnp.pad(x, ((0, 0), *around, (0, 0)))
