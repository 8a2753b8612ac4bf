# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The checker of the demo world as a scorer."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

from mugv_jax.axes import Frames
from mugv_jax.demo.eval.answers import FIELDS
from mugv_jax.demo.world.reading import read

FAULT = "fault"
# Where captions may name a wrong motion, this column says which motion the caption names.
TOLD = "told"


@dataclasses.dataclass(frozen=True)
class DemoScorer:
    """Shape, colour and motion are 1 where they are what the caption names.

    It needs the columns shape, colour and motion (or told) of `mugv-jax demo world`.

    find_fault: names the physical error of a clip, or "". With it there is the part fault, which
        is 1 where the clip has one.
    """

    find_fault: Callable[[Frames], str] | None = None
    name: ClassVar[str] = "demo"
    errors: ClassVar[frozenset[str]] = frozenset({FAULT})

    @property
    def parts(self) -> tuple[str, ...]:
        """See `post.scoring.Scorer`."""
        return FIELDS if self.find_fault is None else (*FIELDS, FAULT)

    def judge(
        self, videos: Sequence[Frames], about: Sequence[Mapping[str, str]]
    ) -> list[tuple[float, ...]]:
        """See `post.scoring.Scorer`."""
        judged = []
        for frames, row in zip(videos, about, strict=True):
            values = _right(frames, _asked(row))
            if self.find_fault is not None:
                values.append(float(bool(self.find_fault(frames))))
            judged.append(tuple(values))
        return judged


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
