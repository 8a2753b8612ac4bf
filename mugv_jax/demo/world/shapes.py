# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Silhouettes as signed distances: negative inside, within the unit circle, x right, y down.

Some are only bounds of the distance outside corners; they are used near the outline and inside.
"""

import math
from collections.abc import Callable

import numpy as np
from jaxtyping import Float

Grid = Float[np.ndarray, "..."]

STAR_INNER = 0.46  # radius of the inward corners


def _box(x: Grid, y: Grid, half_width: float, half_height: float, rounding: float) -> Grid:
    dx = np.abs(x) - (half_width - rounding)
    dy = np.abs(y) - (half_height - rounding)
    return (
        np.hypot(np.maximum(dx, 0), np.maximum(dy, 0))
        + np.minimum(np.maximum(dx, dy), 0)
        - (rounding)
    )


def _ball(x: Grid, y: Grid) -> Grid:
    return np.hypot(x, y) - 1


def _cube(x: Grid, y: Grid) -> Grid:
    return _box(x, y, 0.72, 0.72, 0.06)


def _can(x: Grid, y: Grid) -> Grid:
    return _box(x, y, 0.46, 0.88, 0.14)


def _cone(x: Grid, y: Grid) -> Grid:
    """A triangle with its tip at the top."""
    rise, run = 1.6, 0.8
    side = (np.abs(x) * rise - (y + 1) * run) / math.hypot(rise, run)
    return np.maximum(side, y - 0.6)


def _ring(x: Grid, y: Grid) -> Grid:
    return np.abs(np.hypot(x, y) - 0.71) - 0.27


def _bottle(x: Grid, y: Grid) -> Grid:
    neck, cap = _box(x, y + 0.55, 0.15, 0.42, 0.03), _box(x, y + 0.86, 0.21, 0.12, 0.03)
    return np.minimum(np.minimum(_box(x, y - 0.32, 0.42, 0.6, 0.16), neck), cap)


def _mug(x: Grid, y: Grid) -> Grid:
    handle = np.abs(np.hypot(x - 0.42, y) - 0.36) - 0.1
    return np.minimum(_box(x + 0.16, y, 0.54, 0.66, 0.1), handle)


def _star(x: Grid, y: Grid) -> Grid:
    """A star with a tip at the top; by symmetry, the distance to one of its ten edges."""
    tenth = math.pi / 5
    angle = np.abs((np.arctan2(x, -y) + tenth) % (2 * tenth) - tenth)
    radius = np.hypot(x, y)
    along, across = radius * np.cos(angle), radius * np.sin(angle)
    run, rise = STAR_INNER * math.cos(tenth) - 1, STAR_INNER * math.sin(tenth)
    return ((along - 1) * rise - across * run) / math.hypot(run, rise)


SILHOUETTES: dict[str, Callable[[Grid, Grid], Grid]] = {
    "ball": _ball,
    "box": _cube,
    "can": _can,
    "cone": _cone,
    "ring": _ring,
    "bottle": _bottle,
    "mug": _mug,
    "star": _star,
}

# Distance from the outline at which the surface faces the viewer: 1 is a sphere.
BEVELS = {
    "ball": 1.0,
    "box": 0.18,
    "can": 0.46,
    "cone": 0.4,
    "ring": 0.27,
    "bottle": 0.36,
    "mug": 0.4,
    "star": 0.3,
}


def accent(shape: str, x: Grid, y: Grid) -> Grid | None:
    """Signed distance to a darker part (lid, cap or opening); None for a shape without one."""
    if shape == "can":
        return np.hypot(x / 0.40, (y + 0.74) / 0.11) * 0.11 - 0.11
    if shape == "bottle":
        return _box(x, y + 0.86, 0.25, 0.15, 0.0)
    if shape == "mug":
        return np.hypot((x + 0.16) / 0.44, (y + 0.5) / 0.12) * 0.12 - 0.12
    return None


# Area relative to the unit circle, to give objects of different shapes comparable sizes.
AREAS = {
    "ball": 1.0,
    "box": 0.66,
    "can": 0.51,
    "cone": 0.41,
    "ring": 0.77,
    "bottle": 0.38,
    "mug": 0.54,
    "star": 0.43,
}
