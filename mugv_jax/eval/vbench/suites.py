# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Dimensions of VBench and VBench-I2V, their weights, and the ranges that normalise them.

    normalised = (value - low) / (high - low)
    group score = sum of weight * normalised / sum of weights, over the dimensions of a group
    total       = sum of share * group score / sum of shares

Weights, ranges and shares are those of the leaderboard (github.com/Vchitect/VBench, constants and
`cal_final_score.py`, `cal_i2v_final_score.py` in `scripts`). MUG-V's Table 1 and ContentV's Table 3
come out of them. Values are shares in [0, 1].
"""

import dataclasses
from collections.abc import Iterable, Mapping

CONSISTENT, STEADY = (0.1462, 1.0), (0.2615, 1.0)  # ranges of subjects and of backgrounds
SMOOTH = (0.7060, 0.9975)
WHOLE = (0.0, 1.0)
HALF = 0.5


@dataclasses.dataclass(frozen=True)
class Dimension:
    """One score of a suite: its weight in its group, and the range that normalises it."""

    weight: float = 1.0
    range: tuple[float, float] = WHOLE

    def normalised(self, value: float) -> float:
        """A value in terms of the range."""
        low, high = self.range
        return (value - low) / (high - low)


@dataclasses.dataclass(frozen=True)
class Group:
    """Dimensions that are summed up, and the group's share of the total."""

    share: float
    dimensions: Mapping[str, Dimension]


@dataclasses.dataclass(frozen=True)
class Suite:
    """A benchmark.

    title: its name.
    groups: what the total consists of, by name.
    others: dimensions that its tool measures, and no total reads.
    """

    title: str
    groups: Mapping[str, Group]
    others: tuple[str, ...] = ()

    @property
    def dimensions(self) -> tuple[str, ...]:
        """All dimensions of the groups, in order."""
        return tuple(name for group in self.groups.values() for name in group.dimensions)

    @property
    def measured(self) -> tuple[str, ...]:
        """All dimensions that the tool measures."""
        return (*self.dimensions, *self.others)


T2V = Suite(
    "VBench",
    {
        "quality": Group(
            4,
            {
                "subject_consistency": Dimension(range=CONSISTENT),
                "background_consistency": Dimension(range=STEADY),
                "temporal_flickering": Dimension(range=(0.6293, 1.0)),
                "motion_smoothness": Dimension(range=SMOOTH),
                "aesthetic_quality": Dimension(),
                "imaging_quality": Dimension(),
                "dynamic_degree": Dimension(HALF),
            },
        ),
        "semantic": Group(
            1,
            {
                "object_class": Dimension(),
                "multiple_objects": Dimension(),
                "human_action": Dimension(),
                "color": Dimension(),
                "spatial_relationship": Dimension(),
                "scene": Dimension(range=(0.0, 0.8222)),
                "appearance_style": Dimension(range=(0.0009, 0.2855)),
                "temporal_style": Dimension(range=(0.0, 0.364)),
                "overall_consistency": Dimension(range=(0.0, 0.364)),
            },
        ),
    },
)

I2V = Suite(
    "VBench-I2V",
    {
        "i2v": Group(
            1,
            {
                "camera_motion": Dimension(0.1),
                "i2v_subject": Dimension(range=CONSISTENT),
                "i2v_background": Dimension(range=STEADY),
            },
        ),
        "quality": Group(
            1,
            {
                "subject_consistency": Dimension(range=CONSISTENT),
                "background_consistency": Dimension(range=STEADY),
                "motion_smoothness": Dimension(range=SMOOTH),
                "dynamic_degree": Dimension(HALF),
                "aesthetic_quality": Dimension(),
                "imaging_quality": Dimension(),
            },
        ),
    },
    others=("temporal_flickering",),
)
SUITES = {"t2v": T2V, "i2v": I2V}


def suite_of(dimensions: Iterable[str]) -> Suite:
    """The suite that results belong to: VBench-I2V if one of them is of its own, else VBench."""
    own = I2V.groups["i2v"].dimensions
    return I2V if any(name in own for name in dimensions) else T2V
