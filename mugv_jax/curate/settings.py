# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Config of a curation: the groups of `configs/curate/*.py` as frozen dataclasses."""

import dataclasses
import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from ml_collections import ConfigDict

from mugv_jax.bounds import require_at_least
from mugv_jax.config import build_group
from mugv_jax.curate import duplicates, listing, review, similar_videos
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
        that a clip fails is why it goes.
    unit_clips: clips whose frames are held at once, and that are lost at most if the run is killed.
    crop: boxes that clips are cropped to when they are encoded: "borders", "subtitles".
    licences: of the videos that may be used, as the column `licence` of the list names them; all
        others are set aside, those without one too. Empty takes every video.
    """

    measures: tuple[str, ...]
    thresholds: tuple[str, ...] = ()
    unit_clips: int = 8
    crop: tuple[str, ...] = ()
    licences: tuple[str, ...] = ()

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

    @property
    def measured(self) -> frozenset[str]:
        """Columns that the stages fill with these settings."""
        stages = (self.probe, self.shots, *self.measures, *self.asking)
        return frozenset().union(*(stage.measured for stage in stages))


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
# What thresholds, balance and the choice of the best may look at.
COLUMNS = {
    name
    for written in (
        listing.COLUMNS,
        duplicates.WRITES,
        similar_videos.WRITES,
        review.WRITES,
        *(each.WRITES for each in (Probe, Shots, *MEASURES.values(), *ASKING.values())),
    )
    for name in written
}


def is_of_curation(values: ConfigDict) -> bool:
    """Whether a config says what to measure, which those of training do not."""
    run = values.get("run")
    return isinstance(run, ConfigDict) and "measures" in run


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
    for where, column in _named_columns(thresholds, built):
        if column not in COLUMNS:
            close = difflib.get_close_matches(column, COLUMNS, 1)
            hint = f": did you mean {close[0]}?" if close else "; docs/curation.md lists them."
            problems.add(ValueError(f"{where} names {column!r}, which no stage measures{hint}"))
    problems.check()
    assert run is not None
    return CurateConfig(
        **{name: built[name] for name in GROUPS},
        measures=tuple(built[name] for name in run.measures),
        asking=tuple(built[name] for name in ASKING if built[name].model),
        thresholds={name: thresholds[name] for name in run.thresholds},
    )


def _named_columns(
    thresholds: Mapping[str, Threshold], built: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    """(field, column) of all columns that a config names."""
    yield from ((f"thresholds.{name}.column", each.column) for name, each in thresholds.items())
    if "balance" in built:
        for field in ("by", "otherwise"):
            yield from ((f"balance.{field}", each) for each in getattr(built["balance"], field))
    if "best" in built:
        for part, weights in built["best"].parts.items():
            yield from ((f"best.parts.{part}", each) for each in weights)
