# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Answers, one per clip, in a file from which an interrupted measurement resumes.

The first line of the file describes the measurement; every other line is one answer.
"""

import contextlib
import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mugv_jax.data.whole_files import write_whole
from mugv_jax.eval.answers import changes

FIELDS = ("shape", "colour", "motion")
Words = tuple[str, str, str]  # one for each of FIELDS


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answer:
    """Words that the caption of one clip asks for, and those that the checker read in the clip.

    seed: of the drawn clip.  clip: its number.
    asked: words of the caption.
    read: words of the checker, None if it saw no object.
    fault: physical error that the checker found, one of `demo.world.faults.FAULTS`, or "".
    psnr, ssim: quality of a reconstruction, mean over its frames.
    distance: of several videos of the caption, see `adherence.distance`.
    """

    seed: int
    task: str
    split: str
    clip: int
    caption: str
    asked: Words
    read: Words | None
    fault: str = ""
    psnr: float | None = None
    ssim: float | None = None
    distance: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Values for JSON, without qualities that were not measured."""
        values = dataclasses.asdict(self)
        unmeasured = ("psnr", "ssim", "distance")
        return {k: v for k, v in values.items() if v is not None or k not in unmeasured}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Answer":
        """Inverse of `to_dict`."""
        read = values["read"]
        words = {"asked": tuple(values["asked"]), "read": None if read is None else tuple(read)}
        return cls(**{**values, **words})


class AnswerFile:
    """Answers of one measurement so far, by (seed, task, split, clip).

    about: everything that the answers depend on, which an existing file must agree with.

    Raises:
        ValueError: the file is damaged or belongs to another measurement.
    """

    def __init__(self, path: Path, about: Mapping[str, Any]):
        self._path = path
        self._about = json.loads(json.dumps(about))  # lists for tuples, as when it is read back
        self.answers: dict[tuple[int, str, str, int], Answer] = {}
        if path.exists():
            self._read()
        else:
            path.parent.mkdir(parents=True, exist_ok=True)

    def _read(self) -> None:
        with self._undamaged():
            about, *answers = map(json.loads, self._path.read_text().splitlines())
        changed = changes(about, self._about)
        if changed:
            raise ValueError(
                f"{self._path} has answers of another measurement ({'; '.join(changed)}): give "
                "another folder, or delete it."
            )
        with self._undamaged():
            self._keep(map(Answer.from_dict, answers))

    @contextlib.contextmanager
    def _undamaged(self) -> Iterator[None]:
        """Names the file in errors of its content."""
        try:
            yield
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{self._path} is damaged ({error}): delete it, or give another folder."
            ) from error

    def _keep(self, answers: Iterable[Answer]) -> None:
        for each in answers:
            self.answers[each.seed, each.task, each.split, each.clip] = each

    def add(self, answers: Iterable[Answer]) -> None:
        """Adds answers; they are on disk when this returns."""
        self._keep(answers)
        lines = [self._about, *(answer.to_dict() for answer in self.answers.values())]
        write_whole(self._path, "".join(f"{json.dumps(line)}\n" for line in lines).encode())
