# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Where the vivid pixels of a frame are, their colour and their outline, with a gradient.

    s       = distance of a pixel from grey, in the colour plane of `demo/world/segment.py`
    w       = z / (1 + z),   z = (s / MIDDLE)^POWER      about 1 on an object, 0 on a backdrop  (1)
    centre  = sum w (x, y) / sum w,   radius = sqrt(sum w / pi)                               (2)
    ray     = ((x, y) - centre) / radius   as a complex number                                (3)
    outline = |mean of ray^k|, k in TURNS, and mean of |ray|^k, k in SPREADS, weights w       (4)

(4) is the same wherever an object is, of any size and at any angle: a triangle has k = 3, a square
k = 4 and a star k = 5. A frame without an object has the features of a faint one at its centre.
"""

import einops
import jax
import jax.numpy as jnp

from mugv_jax.axes import Array, Float, Pixels

MIDDLE, POWER = 0.3, 6  # backdrops stay below 0.08, objects begin at 0.35
LEAST_PX = 4.0  # added to the sum of w, so that a frame without an object has finite features
TURNS, SPREADS = (2, 3, 4, 5, 6), (2, 4, 6)
REACH = 2.2  # rays that are longer fade from (4)
CENTRE = (1, 2)  # numbers of the features x and y
FEATURES = 7 + len(TURNS) + len(SPREADS)

Maps = Float[Array, "n h w"]


def features(pixels: Pixels) -> Float[Array, "b f k"]:
    """Features of every frame, of the order of 1: logarithm of the radius, centre x and y, colour
    a and b, vividness, share of vivid pixels, and (4).

    pixels: in [-1, 1]; values beyond are clipped, so that they gain nothing.
    """
    rgb = jnp.clip(pixels.astype(jnp.float32), -1, 1) / 2 + 0.5
    flat = einops.rearrange(rgb, "b f h w c -> (b f) h w c")
    found = jnp.stack(_features(flat), axis=-1)
    return einops.rearrange(found, "(b f) k -> b f k", b=len(pixels))


def _features(rgb: Float[Array, "n h w 3"]) -> list[Float[Array, "n"]]:
    height, width = rgb.shape[1:3]
    red, green, blue = (_smooth(rgb[..., c]) for c in range(3))
    a, b = red - (green + blue) / 2, (green - blue) * 0.75**0.5
    s = jnp.sqrt(jnp.square(a) + jnp.square(b) + 1e-6)
    z = jnp.power(s / MIDDLE, POWER)
    weight = z / (1 + z)
    area = jnp.sum(weight, axis=(1, 2)) + LEAST_PX
    short = min(height, width)
    x = (jnp.arange(width, dtype=jnp.float32)[None, None] + 0.5 - width / 2) / short
    y = (jnp.arange(height, dtype=jnp.float32)[None, :, None] + 0.5 - height / 2) / short

    def mean(value: Maps) -> Float[Array, "n"]:
        return jnp.sum(weight * value, axis=(1, 2)) / area

    centre_x, centre_y, radius = mean(x), mean(y), jnp.sqrt(area / jnp.pi) / short
    right, low = (
        (each - centre[:, None, None]) / radius[:, None, None]
        for each, centre in ((x, centre_x), (y, centre_y))
    )
    outline = _outline(weight, area, right, low)
    share = area / (height * width)
    place = [jnp.log(radius / 0.2) * 2, centre_x * 4, centre_y * 4]
    return [*place, mean(a / s), mean(b / s), mean(s) * 2, share * 10, *outline]


def _outline(
    weight: Maps, area: Float[Array, "n"], right: Float[Array, "n 1 w"], low: Float[Array, "n h 1"]
) -> list[Float[Array, "n"]]:
    """(4), of rays with these parts."""
    square = jnp.square(right) + jnp.square(low)
    weight = weight * jnp.exp(-jnp.power(square / REACH**2, 4))

    def mean(value: Maps) -> Float[Array, "n"]:
        return jnp.sum(weight * value, axis=(1, 2)) / area

    turned, found = (right, low), []
    for _ in range(2, max(TURNS) + 1):
        real, imaginary = turned
        turned = real * right - imaginary * low, real * low + imaginary * right
        parts = (jnp.square(mean(each)) for each in turned)
        found.append(jnp.sqrt(sum(parts) + 1e-6) * 3)
    return [*found, *(mean(jnp.power(square, k // 2)) for k in SPREADS)]


def _smooth(plane: Maps) -> Maps:
    """Filter (1, 2, 1) / 4 over rows and columns."""
    for axis in (1, 2):
        size = plane.shape[axis]
        padded = jnp.pad(plane, [(int(axis == k), int(axis == k)) for k in range(3)], mode="edge")
        before, here, after = (
            jax.lax.slice_in_dim(padded, k, k + size, axis=axis) for k in range(3)
        )
        plane = (before + 2 * here + after) / 4
    return plane
