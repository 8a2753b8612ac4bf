# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Silhouettes as signed distances: negative inside, within the unit circle, x right, y down.

Some are only bounds of the distance outside corners; they are used near the outline and inside.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

Grid = Float[np.ndarray, "..."]

STAR_INNER = 0.46  # radius of the inward corners


class Form(NamedTuple):
    """A silhouette and how it is drawn.

    distance: signed distance to the outline at (x, y).
    bevel: distance from the outline at which the surface faces the viewer; 1 is a sphere.
    area: relative to the unit circle, to give objects of different shapes comparable sizes.
    """

    distance: Callable[[Grid, Grid], Grid]
    bevel: float
    area: float


def _box(x: Grid, y: Grid, half_width: float, half_height: float, rounding: float) -> Grid:
    dx = np.abs(x) - (half_width - rounding)
    dy = np.abs(y) - (half_height - rounding)
    outside = np.hypot(np.maximum(dx, 0), np.maximum(dy, 0))
    return outside + np.minimum(np.maximum(dx, dy), 0) - rounding


def _cone(x: Grid, y: Grid) -> Grid:
    """A triangle with its tip at the top."""
    rise, run = 1.6, 0.8
    side = (np.abs(x) * rise - (y + 1) * run) / math.hypot(rise, run)
    return np.maximum(side, y - 0.6)


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


FORMS = {
    "ball": Form(lambda x, y: np.hypot(x, y) - 1, bevel=1.0, area=1.0),
    "box": Form(lambda x, y: _box(x, y, 0.72, 0.72, 0.06), bevel=0.18, area=0.66),
    "can": Form(lambda x, y: _box(x, y, 0.46, 0.88, 0.14), bevel=0.46, area=0.51),
    "cone": Form(_cone, bevel=0.4, area=0.41),
    "ring": Form(lambda x, y: np.abs(np.hypot(x, y) - 0.71) - 0.27, bevel=0.27, area=0.77),
    "bottle": Form(_bottle, bevel=0.36, area=0.38),
    "mug": Form(_mug, bevel=0.4, area=0.54),
    "star": Form(_star, bevel=0.3, area=0.43),
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
