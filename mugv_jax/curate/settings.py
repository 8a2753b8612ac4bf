# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Config of a curation: the groups of `configs/curate/*.py` as frozen dataclasses."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from mugv_jax.bounds import require_at_least
from mugv_jax.config import build_group
from mugv_jax.curate.balance import BalanceConfig
from mugv_jax.curate.best import BestConfig
from mugv_jax.curate.duplicates import DuplicateConfig
from mugv_jax.curate.similar_videos import SimilarConfig
from mugv_jax.curate.stage import Stage
from mugv_jax.curate.stages import MEASURES
from mugv_jax.curate.stages.asking import Asking, Captioner, Filter, Tagger
from mugv_jax.curate.stages.frames import DecodedFrames
from mugv_jax.curate.stages.probe import Probe
from mugv_jax.curate.stages.shots import Shots
from mugv_jax.curate.thresholds import Threshold
from mugv_jax.problems import Problems

CROPS = ("borders", "subtitles")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunConfig:
    """What is measured, and in what portions.

    measures: names of stages (`stages.MEASURES`), in their order.
    thresholds: names of the group `thresholds`, in the order in which they are applied; the first
        that a clip fails is why it goes. Those that are not named are not applied.
    unit_clips: clips whose frames are held at once, and that are lost at most if the run is killed.
    crop: boxes that clips are cropped to when they are encoded: "borders", "subtitles".
    """

    measures: tuple[str, ...]
    thresholds: tuple[str, ...] = ()
    unit_clips: int = 8
    crop: tuple[str, ...] = ()

    def __post_init__(self):
        require_at_least(1, self, "unit_clips")
        for name in self.measures:
            if name not in MEASURES:
                raise ValueError(f"measures: {name!r} must be one of {', '.join(MEASURES)}.")
        for name in self.crop:
            if name not in CROPS:
                raise ValueError(f"crop: {name!r} must be one of {', '.join(CROPS)}.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class CurateConfig:
    """Config of a curation.

    measures: the stages that score clips, in order.
    asking: the stages that ask a language model about the clips that are kept, in order.
    thresholds: by name, in the order in which they are applied.
    """

    run: RunConfig
    probe: Probe
    shots: Shots
    frames: DecodedFrames
    measures: tuple[Stage, ...]
    asking: tuple[Asking, ...]
    thresholds: Mapping[str, Threshold]
    similar: SimilarConfig
    duplicates: DuplicateConfig
    balance: BalanceConfig
    best: BestConfig


ASKING: Mapping[str, type[Asking]] = {each.NAME: each for each in (Filter, Captioner, Tagger)}
GROUPS: Mapping[str, type] = {
    "run": RunConfig,
    "probe": Probe,
    "shots": Shots,
    "frames": DecodedFrames,
    "similar": SimilarConfig,
    "duplicates": DuplicateConfig,
    "balance": BalanceConfig,
    "best": BestConfig,
}


def from_config_dict(values: ConfigDict) -> CurateConfig:
    """Reads the config of a curation; groups and fields that are left out have their defaults.

    Raises:
        ValueError: unknown names, or values that the dataclasses refuse; all of them together.
    """
    problems, built = Problems(), {}
    known = {*GROUPS, *MEASURES, *ASKING, "thresholds"}
    for name in sorted(set(values) - known):
        problems.add(
            ValueError(f"config has an unknown group {name!r}; it may have {', '.join(known)}.")
        )
    for name, cls in {**GROUPS, **MEASURES, **ASKING}.items():
        with problems:
            built[name] = build_group(name, cls, values.get(name, ConfigDict()))
    thresholds = {}
    named: Any = values.get("thresholds", ConfigDict())
    for name, each in named.items():
        with problems:
            thresholds[name] = build_group(f"thresholds.{name}", Threshold, each)
    run: Any = built.get("run")
    for name in () if run is None else run.thresholds:
        if name not in named:
            known = ", ".join(named)
            problems.add(ValueError(f"run.thresholds: {name!r} is none of thresholds: {known}."))
    problems.check()
    assert run is not None
    return CurateConfig(
        **{name: built[name] for name in GROUPS},
        measures=tuple(built[name] for name in run.measures),
        asking=tuple(built[name] for name in ASKING if built[name].model),
        thresholds={name: thresholds[name] for name in run.thresholds},
    )
