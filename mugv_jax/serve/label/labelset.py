# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The file `set.json` of a labelling set: what is asked about which videos.

SET/set.json        questions, items, and the settings of orders and assignments
SET/media/ID.mp4    copies of the videos and pictures, named so that nothing can be told by it
SET/labels.sqlite   annotators, assignments and answers (`store.py`)
"""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mugv_jax.files import existing_file, read_json, user_path
from mugv_jax.serve.label.questions import KINDS, Kind, Question

SET, MEDIA, DATABASE = "set.json", "media", "labels.sqlite"
FORMAT = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Clip:
    """One video.

    media: file in the folder `media`.
    model: what made it; annotators never see it.
    id: name of the video in tables.
    fps: frames per second, for steps of one frame.
    width, height: pixels.
    """

    media: str
    model: str
    id: str
    fps: float
    width: int
    height: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Item:
    """What is judged at a time: one video, or two.

    id: random, so that nothing can be told by it.
    name: for tables.
    picture: file in the folder `media`, shown beside the videos.
    known: right answers of a golden item by question; for pairs "first", "same" or "second".
    about: further columns that results repeat.
    """

    id: str
    name: str
    clips: tuple[Clip, ...]
    prompt: str = ""
    picture: str | None = None
    known: Mapping[str, str] = dataclasses.field(default_factory=dict)
    about: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LabelSet:
    """A labelling set.

    annotators: number of annotators of each item.
    golden_every: one of so many items of an annotator is golden, as long as there are some.
    seed: of orders and sides.
    samples: the folder of `post sample` that all clips are from; None for others.
    """

    kind: str
    models: tuple[str, ...]
    stages: tuple[tuple[Question, ...], ...]
    items: tuple[Item, ...]
    annotators: int = 3
    golden_every: int = 10
    seed: int = 0
    samples: str | None = None

    @property
    def rules(self) -> Kind:
        """What holds for all sets of this kind."""
        return KINDS[self.kind]

    @property
    def questions(self) -> tuple[Question, ...]:
        """The questions of all stages."""
        return tuple(question for stage in self.stages for question in stage)

    def stage_of(self, question: str) -> int | None:
        """Number of the stage of a question; None of an unknown one."""
        for number, stage in enumerate(self.stages):
            if question in (each.id for each in stage):
                return number
        return None

    def text(self) -> str:
        """Content of `set.json`."""
        fields = {"format": FORMAT, **dataclasses.asdict(self)}
        return json.dumps(fields, ensure_ascii=False, indent=1) + "\n"


def read_set(folder: str | Path) -> LabelSet:
    """The labelling set in a folder.

    Raises:
        ValueError: no such folder, or one that `label create` has not made.
    """
    folder = user_path(folder)
    if not (folder / SET).is_file():
        raise ValueError(
            f"{str(folder)!r} is no labelling set: there is no {SET}; make one with "
            "`mugv-jax label create`."
        )
    values = read_json(existing_file(folder / SET, "labelling set"))
    found = values.get("format") if isinstance(values, dict) else None
    if found != FORMAT:
        raise ValueError(
            f"{folder / SET} has format={found!r}, and this version reads {FORMAT}: make the set "
            "anew."
        )
    try:
        return _set(values)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{folder / SET} is damaged ({type(error).__name__}: {error}): make the set anew."
        ) from error


def _set(values: Mapping[str, Any]) -> LabelSet:
    fields = {name: value for name, value in values.items() if name != "format"}
    fields["models"] = tuple(fields["models"])
    fields["stages"] = tuple(
        tuple(Question(**question) for question in stage) for stage in fields["stages"]
    )
    fields["items"] = tuple(
        Item(**{**item, "clips": tuple(Clip(**clip) for clip in item["clips"])})
        for item in fields["items"]
    )
    made = LabelSet(**fields)
    KINDS[made.kind]  # an unknown kind is a KeyError
    return made
