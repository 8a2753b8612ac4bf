# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures of the worst clips: some frames of the reference, of the other video, and of the error.

The error is 4 |x - y|, black where both agree. Worst is the largest LPIPS, or without weights the
smallest PSNR.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8

from mugv_jax.axes import Frames
from mugv_jax.eval.measures import Rgb
from mugv_jax.video.contact_sheet import sheet_row, write_contact_sheet

SHOWN = 4  # frames of a clip
GAIN = 4  # of the error
LONGEST_NAME = 80


@runtime_checkable
class FramesOf(Protocol):
    """Frames (h w 3) that can be gone through several times."""

    def __iter__(self) -> Iterator[Rgb]: ...

    def __len__(self) -> int: ...


class WorstPictures:
    """Pictures in `folder` of the `count` worst clips of every resolution.

    answers: those to clips of which pictures are there already; any of them may be bad.
    """

    def __init__(self, folder: Path, count: int, answers: Iterable[Mapping[str, Any]] = ()):
        self._folder, self._count = folder, count
        self._worst: dict[str, list[tuple[tuple[float, str], str]]] = {}
        for answer in answers:
            if "bad" not in answer:
                self._rank(answer)

    def offer(self, answer: Mapping[str, Any], reference: FramesOf, made: FramesOf) -> None:
        """Writes a clip's picture if it is among the worst so far."""
        if self._rank(answer):
            self._folder.mkdir(parents=True, exist_ok=True)
            x, y = chosen(reference), chosen(made)
            error = np.abs(x.astype(np.int16) - y)
            error = np.minimum(GAIN * error, 255).astype(np.uint8)
            rows = [sheet_row(frames, SHOWN) for frames in (x, y, error)]
            write_contact_sheet(self._folder / _name(answer), rows)

    def prune(self) -> None:
        """Removes the pictures of clips that are not among the worst any more."""
        kept = {name for worst in self._worst.values() for _, name in worst}
        for path in self._folder.glob("*.png"):
            if path.name not in kept:
                path.unlink()

    def _rank(self, answer: Mapping[str, Any]) -> bool:
        """Keeps the answer if it is among the worst, and says whether it is."""
        worst = self._worst.setdefault(answer["resolution"], [])
        badness = -answer["psnr"] if answer["lpips"] is None else answer["lpips"]
        entry = (-badness, answer["clip"]), _name(answer)
        worst.append(entry)
        worst.sort()
        del worst[self._count :]
        return entry in worst


def chosen(frames: FramesOf) -> UInt8[Frames, "_f h w 3"]:
    """SHOWN evenly spaced frames, the first and the last among them."""
    count = len(frames)
    numbers = {*np.linspace(0, count - 1, min(SHOWN, count)).round().astype(int).tolist()}
    return np.stack([frame for number, frame in enumerate(frames) if number in numbers])


def _name(answer: Mapping[str, Any]) -> str:
    clip = re.sub(r"[^\w.-]+", "-", answer["clip"])[-LONGEST_NAME:].strip(".-")
    return f"{answer['resolution']}-{clip}-{answer['digest'][:8]}.png"
