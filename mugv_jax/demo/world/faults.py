# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Physical errors of a clip's main object, such as generated videos have.

    vanish    the object is gone from a time on
    flicker   it is gone twice for a few frames
    jump      it continues from another place
    freeze    it stands still for a while, and has to hurry before and after
    recolour  it goes on in another colour
    reshape   it goes on in another shape

Where an error changes the object for good, most of the clip comes before it, so that shape, colour
and motion are those of the caption still. `physics.py` finds these errors in frames.
"""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from mugv_jax.demo.world.objects import Placed, Pose, Thing, path

FAULTS = ("vanish", "flicker", "jump", "freeze", "recolour", "reshape")
# Times are shares of the clip.
LATE = (0.52, 0.65)  # start of an error that lasts
GONE, AGAIN = 0.19, 0.42  # how long a flickering object is gone, and from one time to the next
FIRST_GONE = (0.17, 0.25)
FROZEN = (0.28, 0.72)  # time in which a frozen object stands
JUMP = (0.16, 0.19)  # length, in short sides

Range = tuple[float, float]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fault:
    """A physical error.

    kind: one of FAULTS.  time: when it begins, as a share of the clip.
    shift: of a jump, (x, y) in short sides.  after: what the object becomes.
    """

    kind: str
    time: float
    shift: tuple[float, float] = (0.0, 0.0)
    after: Thing | None = None


@dataclasses.dataclass(frozen=True)
class Shown:
    """The object in one frame; pose None where it is gone."""

    thing: Thing
    pose: Pose | None


def draw(
    rng: np.random.Generator,
    kind: str,
    placed: Placed,
    colours: Sequence[str],
    shapes: Sequence[str],
) -> Fault:
    """A random error of a kind.

    colours, shapes: what the object may become.
    """
    time = float(rng.uniform(*LATE))
    if kind == "flicker":
        return Fault(kind=kind, time=float(rng.uniform(*FIRST_GONE)))
    if kind == "freeze":
        return Fault(kind=kind, time=FROZEN[0])
    if kind == "jump":
        return Fault(kind=kind, time=time, shift=_jump(rng, placed))
    if kind == "recolour":
        after = dataclasses.replace(placed.thing, colour=str(rng.choice(colours)))
        return Fault(kind=kind, time=time, after=after)
    if kind == "reshape":
        after = dataclasses.replace(placed.thing, shape=str(rng.choice(shapes)))
        return Fault(kind=kind, time=time, after=after)
    return Fault(kind=kind, time=time)


def _jump(rng: np.random.Generator, placed: Placed) -> tuple[float, float]:
    """Across the object's way and towards the other half of the frame, so that it stays within."""
    way = (placed.last.x - placed.first.x, placed.last.y - placed.first.y)
    length = float(rng.uniform(*JUMP))
    across = math.hypot(*way) > 0
    vertical = abs(way[0]) > abs(way[1]) if across else bool(rng.random() < 0.5)
    centre = placed.first.y if vertical else placed.first.x
    length = -length if centre > 0 else length
    return (0.0, length) if vertical else (length, 0.0)


def states(placed: Placed, fault: Fault | None, times: np.ndarray) -> list[Shown]:
    """The object in frames at `times`, with its error if it has one."""
    if fault is None:
        return [Shown(placed.thing, pose) for pose in path(placed, times)]
    moved = _frozen(times) if fault.kind == "freeze" else times
    return [
        _state(placed.thing, pose, fault, float(time))
        for pose, time in zip(path(placed, moved), times, strict=True)
    ]


def _state(thing: Thing, pose: Pose, fault: Fault, time: float) -> Shown:
    since = time - fault.time
    if fault.kind == "vanish" and since >= 0:
        return Shown(thing, None)
    if fault.kind == "flicker" and (0 <= since < GONE or AGAIN <= since < AGAIN + GONE):
        return Shown(thing, None)
    if fault.kind == "jump" and since >= 0:
        right, down = fault.shift
        return Shown(thing, dataclasses.replace(pose, x=pose.x + right, y=pose.y + down))
    return Shown(fault.after if fault.after and since >= 0 else thing, pose)


def _frozen(times: np.ndarray) -> np.ndarray:
    """Times at which an object without the error is where a frozen one is."""
    return np.interp(times, (0, *FROZEN, 1), (0, 0.5, 0.5, 1))
