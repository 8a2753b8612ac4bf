# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Objects of a clip: what they look like, and where they are over time."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Thing:
    """Appearance of an object."""

    shape: str
    colour: str
    texture: str


@dataclasses.dataclass(frozen=True)
class Pose:
    """Centre, radius of the circle around the object, and clockwise rotation in radians."""

    x: float
    y: float
    radius: float
    angle: float = 0.0


@dataclasses.dataclass(frozen=True)
class Placed:
    """An object whose pose changes linearly from the first frame to the last."""

    thing: Thing
    first: Pose
    last: Pose


def path(placed: Placed, times: np.ndarray) -> list[Pose]:
    """Poses at `times`; 0 is the first frame, 1 the last."""
    first, last = (np.array(dataclasses.astuple(pose)) for pose in (placed.first, placed.last))
    return [Pose(*(first + time * (last - first)).tolist()) for time in times]
