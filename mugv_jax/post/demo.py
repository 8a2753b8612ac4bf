# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The checker of the demo world as a scorer."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import ClassVar

from mugv_jax.axes import Frames
from mugv_jax.data.column_field import ColumnField
from mugv_jax.data.fields import Fields
from mugv_jax.demo.eval.answers import FIELDS
from mugv_jax.demo.eval.score import PHYSICS
from mugv_jax.demo.world.physics import find_fault
from mugv_jax.demo.world.reading import read

# Where captions may name a wrong motion, this column says which motion the caption names.
TOLD = "told"


@dataclasses.dataclass(frozen=True)
class DemoScorer:
    """Shape, colour and motion are 1 where they are what the caption names, physics without error.

    It needs the columns shape, colour and motion (or told) of `mugv-jax demo world`.
    """

    fields: ClassVar[Fields] = (
        *(ColumnField(field) for field in FIELDS),
        ColumnField(TOLD, default=""),
    )

    name: str = "demo"
    parts: tuple[str, ...] = (*FIELDS, PHYSICS)

    def judge(
        self, videos: Sequence[Frames], about: Sequence[Mapping[str, str]]
    ) -> list[tuple[float, ...]]:
        """See `train.scoring.Scorer`."""
        return [
            (*_right(frames, _asked(row)), float(not find_fault(frames)))
            for frames, row in zip(videos, about, strict=True)
        ]


def _asked(row: Mapping[str, str]) -> dict[str, str]:
    """The words that a caption asks for.

    Raises:
        ValueError: columns are missing.
    """
    asked = {field: row.get(field, "") for field in FIELDS}
    asked["motion"] = row.get(TOLD) or asked["motion"]
    missing = [field for field, word in asked.items() if not word]
    if missing:
        raise ValueError(
            f"{row.get('sample_id', 'a sample')}: the demo's checker needs the column "
            f"{', '.join(missing)}, which the prompts of `mugv-jax demo world` have: sample from "
            "its captions.csv."
        )
    return asked


def _right(frames: Frames, asked: Mapping[str, str]) -> list[float]:
    reading = read(frames)
    return [
        float(reading is not None and getattr(reading, field).name == word)
        for field, word in asked.items()
    ]
