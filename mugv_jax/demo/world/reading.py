# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Frames -> shape, colour and motion of the main object, from pixels alone.

segment -> colour
its outline against each shape's, at any angle and size -> shape
straight lines through centre and radius over time, and the steady turn -> motion
"""

import dataclasses
import functools
import math

import numpy as np
from jaxtyping import Float

from mugv_jax.axes import Frames
from mugv_jax.demo.world import polar
from mugv_jax.demo.world.render import render
from mugv_jax.demo.world.scene import SHAPES, SHIFTS, Backdrop, Format, Placed, Pose, Scene, Thing
from mugv_jax.demo.world.segment import Segment, segment

# From here on it is a motion: about half of the least that scenes hold.
LEAST_SHIFT = 0.15  # short sides
LEAST_GROWTH = math.log(1.3)  # of the radius
LEAST_TURN = math.radians(40)
LEAST_FIT = 0.002  # of a turn: a striped ball has 0.01, noise 0.0001


@dataclasses.dataclass(frozen=True)
class Read:
    """confidence: 0 where the next best would do as well, up to 1."""

    name: str
    confidence: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reading:
    shape: Read
    colour: Read
    motion: Read


def read(frames: Frames) -> Reading | None:
    """What a clip shows; None where half of its frames or more show no object.

    frames: uint8 (f, h, w, 3) of the demo world or made by a model of it.
    """
    main = segment(frames)
    if main is None:
        return None
    x, y, radius = polar.moments(main.coverage)
    coverage = polar.unroll(main.coverage, x, y, radius)
    mismatch = polar.mismatch(coverage, _templates())
    weight = radius**2 / np.sum(radius**2)  # larger is seen better
    return Reading(
        shape=_least(dict(zip(SHAPES, (weight @ mismatch).tolist()))),
        colour=_least(main.hue_distance),
        motion=_motion(main, x, y, radius, last=len(frames) - 1),
    )


def _motion(
    main: Segment,
    x: Float[np.ndarray, " f"],
    y: Float[np.ndarray, " f"],
    radius: Float[np.ndarray, " f"],
    *,
    last: int,
) -> Read:
    """Each motion's strength is 1 where it begins to count; standing still is always 1."""
    time = main.frame / last
    short_px = min(main.coverage.shape[1:])
    change = np.polyfit(time, np.stack([x / short_px, y / short_px, np.log(radius)], -1), 1)[0]
    strength = {
        name: (right * change[0] + down * change[1]) / LEAST_SHIFT
        for name, (right, down) in SHIFTS.items()
    }
    strength["grow"], strength["shrink"] = change[2] / LEAST_GROWTH, -change[2] / LEAST_GROWTH
    turn, fit = polar.turned(polar.unroll(main.surface, x, y, radius), time)
    strength["rotate"] = min(abs(turn) / LEAST_TURN, fit / LEAST_FIT)
    strength["still"] = 1.0
    return _least({name: 1 / max(value, 1e-3) for name, value in strength.items()})


def _least(distances: dict[str, float]) -> Read:
    name, *others = sorted(distances, key=distances.get)
    second = distances[others[0]]
    return Read(name, float(1 - distances[name] / second) if second else 0.0)


@functools.cache
def _templates() -> Float[np.ndarray, "p r q"]:
    """Every shape's outline, rendered and read as clips are."""
    pose = Pose(0.0, 0.0, 0.25)
    unrolled = []
    for shape in SHAPES:
        placed = Placed(Thing(shape, "red", "plain"), pose, pose)
        scene = Scene(
            main=placed,
            motion="still",
            second=None,
            backdrop=Backdrop("plain", "grey", "still", 0.0),
            format=Format(height_px=96, width_px=96, frames=9),
            caption_seed=0,
        )
        main = segment(render(scene)[:2])
        unrolled.append(polar.unroll(main.coverage, *polar.moments(main.coverage))[0])
    return np.stack(unrolled)
