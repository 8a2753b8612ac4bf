# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Rendered clips by number: nothing is stored, so a split can have any length."""

import dataclasses
from typing import NamedTuple

from mugv_jax.axes import Frames
from mugv_jax.demo.world.captions import caption
from mugv_jax.demo.world.render import render
from mugv_jax.demo.world.scene import SPLITS, WORLDS, Format, Scene, World, draw


class Clip(NamedTuple):
    """A rendered clip with its caption and the words that describe its scene."""

    video: Frames
    fps: float
    caption: str
    attributes: dict[str, str]


@dataclasses.dataclass(frozen=True, kw_only=True)
class DemoClips:
    """Random access to the clips of a split; clip n does not depend on the length of the split.

    Raises:
        ValueError: an unknown split, or no clips.
    """

    split: str
    count: int
    seed: int = 0
    format: Format = dataclasses.field(default_factory=Format)
    world: World = WORLDS["full"]

    def __post_init__(self):
        if self.split not in SPLITS:
            raise ValueError(f"split {self.split!r} must be one of {', '.join(SPLITS)}.")
        if self.count < 1 or self.seed < 0:
            raise ValueError(f"count={self.count} must be at least 1, and seed={self.seed} 0.")

    def __len__(self) -> int:
        return self.count

    def scene(self, number: int) -> Scene:
        """What clip `number` shows, without its frames."""
        number = range(self.count)[number]
        return draw(self.split, number, seed=self.seed, format=self.format, world=self.world)

    def __getitem__(self, number: int) -> Clip:
        scene = self.scene(number)
        return Clip(render(scene), self.format.fps, caption(scene), scene.attributes)
