# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Measurement of videos against references: resumed, shared by processes, and summarised.

FOLDER/answers/ROW.jsonl       metrics of every clip and resolution, one a line (`answers.py`)
FOLDER/scores.json             means with intervals, and all answers
FOLDER/table.md                the means as tables
FOLDER/pictures/ROW/*.png      the worst clips

A row is one VAE, or one folder of videos. Several processes write an answer file each; the last one
to finish finds the answers of all and writes the rest.
"""

import contextlib
import dataclasses
import json
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

from mugv_jax.bounds import require_at_least
from mugv_jax.data.bad_sample import BadSample, Skipped
from mugv_jax.data.folder_lock import only_process
from mugv_jax.data.whole_files import write_whole
from mugv_jax.eval.answers import Answer, Answers, read_answers
from mugv_jax.eval.measures import Measures, OtherLength
from mugv_jax.eval.pictures import FramesOf, WorstPictures
from mugv_jax.eval.summary import summarise
from mugv_jax.eval.tables import scores_text
from mugv_jax.progress import Bar

log = logging.getLogger(__name__)

ANSWERS, SCORES, TABLE, PICTURES = FILES = ("answers", "scores.json", "table.md", "pictures")
TROUBLE = "clips cannot be measured"


class Job(NamedTuple):
    """A clip at a resolution, such as "256p".

    digest: identity of its files.
    """

    clip: str
    digest: str
    resolution: str

    @classmethod
    def of(cls, answer: Answer) -> "Job":
        """The job that has been answered."""
        return cls(*(answer[field] for field in cls._fields))


# Job -> frames of the reference and of the other video
Load = Callable[[Job], tuple[FramesOf, FramesOf]]


class Row(NamedTuple):
    """What is measured in one row of the table.

    identity: what its answers depend on besides the clips.
    opened: context in which the videos of its jobs can be made or read.
    """

    label: str
    identity: Mapping[str, Any]
    jobs: Sequence[Job]
    opened: Callable[[], AbstractContextManager[Load]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of a measurement.

    about: what all answers depend on.
    what: heads the rows of the table.
    pictures: clips of each row and resolution whose pictures are kept.
    max_bad: clips that may be left out, as they cannot be read.
    shard_index, shard_count: this process, and the number of processes that share the clips.

    Raises:
        ValueError: a field out of range.
    """

    about: Mapping[str, Any]
    what: str
    pictures: int = 3
    max_bad: int = 0
    shard_index: int = 0
    shard_count: int = 1

    def __post_init__(self):
        require_at_least(0, self, "pictures", "max_bad")
        if not 0 <= self.shard_index < self.shard_count:
            raise ValueError(
                f"shard index={self.shard_index} of shard count={self.shard_count} must lie in 0 "
                f"to {self.shard_count - 1}."
            )

    @property
    def shard(self) -> str:
        """Part of the names of this process's files; empty for a single process."""
        if self.shard_count == 1:
            return ""
        return f".{self.shard_index:05d}-of-{self.shard_count:05d}"


def measure(
    rows: Sequence[Row],
    measures: Measures,
    settings: Settings,
    folder: Path,
    bad: Sequence[str] = (),
) -> str | None:
    """Measures all rows and writes the files of FILES; returns the tables.

    bad: lines of clips that were left out before.
    None is returned by a process that is not the last one.

    Raises:
        ValueError: two rows of one name, too many bad clips, answers of another measurement, or
            another process that works in the folder.
    """
    names = [file_name(row.label) for row in rows]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{name!r} names several rows: give each a name, as NAME=PATH.")
    Skipped(settings.max_bad, TROUBLE, bad).check()  # before anything is loaded
    with only_process(folder, f".lock{settings.shard}"):
        for row in rows:
            _measure_row(row, measures, settings, folder, bad)
        return _report(rows, settings, folder, bad)


def _measure_row(
    row: Row, measures: Measures, settings: Settings, folder: Path, left_out: Sequence[str]
) -> None:
    """Answers the jobs of this process."""
    name, about = file_name(row.label), _about(row, settings)
    kept = Answers(folder / ANSWERS / f"{name}{settings.shard}.jsonl", about)
    every = _answers(row, settings, folder)
    bad = Skipped(settings.max_bad, TROUBLE, [*left_out, *_bad(every.values())])
    bad.check()
    mine = row.jobs[settings.shard_index :: settings.shard_count]
    todo = [job for job in mine if job not in every]
    pictures = WorstPictures(folder / PICTURES / name, settings.pictures, every.values())
    with contextlib.ExitStack() as opened:
        load = opened.enter_context(row.opened()) if todo else None
        bar = Bar(row.label, total=len(mine), done=len(mine) - len(todo), unit="clip")
        opened.enter_context(bar)
        for job in todo:
            assert load is not None
            answer = _answer(job, load, measures, pictures)
            kept.add(answer)
            if "bad" in answer:
                bad.add(answer["bad"])
            bar.update()


def _answer(job: Job, load: Load, measures: Measures, pictures: WorstPictures) -> dict[str, Any]:
    """Metrics of one job, or why it has none; a picture is there before the answer is."""
    try:
        reference, made = load(job)
        answer = {**job._asdict(), **measures(reference, made)}
    except (BadSample, OtherLength) as error:
        return {**job._asdict(), "bad": f"{job.clip}: {error}"}
    pictures.offer(answer, reference, made)
    return answer


def _about(row: Row, settings: Settings) -> dict[str, Any]:
    return {"row": row.label, "settings": dict(settings.about), "measured": dict(row.identity)}


def _answers(row: Row, settings: Settings, folder: Path) -> dict[Job, Answer]:
    """Answers of all processes to the jobs of a row, in the order of the jobs."""
    name, found = file_name(row.label), {}
    shards = (folder / ANSWERS).glob("*.jsonl")
    pattern = re.compile(re.escape(name) + r"(\.\d{5}-of-\d{5})?\.jsonl")
    for path in sorted(each for each in shards if pattern.fullmatch(each.name)):
        found |= {Job.of(line): line for line in read_answers(path, _about(row, settings))}
    return {job: found[job] for job in row.jobs if job in found}


def _bad(answers: Any) -> list[str]:
    return [answer["bad"] for answer in answers if "bad" in answer]


def _report(
    rows: Sequence[Row], settings: Settings, folder: Path, bad: Sequence[str]
) -> str | None:
    """Writes scores and tables if all jobs have answers; returns the tables then."""
    by_row = {row.label: _answers(row, settings, folder) for row in rows}
    missing = sum(len(row.jobs) - len(by_row[row.label]) for row in rows)
    if missing:
        log.info("%d clips are left to other processes; the last one writes %s.", missing, SCORES)
        return None
    left_out, measured = list(bad), []
    for label, answers in by_row.items():
        good = [answer for answer in answers.values() if "bad" not in answer]
        left_out += _bad(answers.values())
        measured += [{"row": label, **answer} for answer in good]
        WorstPictures(folder / PICTURES / file_name(label), settings.pictures, good).prune()
    if not measured:
        raise ValueError("no clip could be measured.")
    scores = summarise(measured)
    report = {
        "settings": dict(settings.about),
        "measured": {row.label: dict(row.identity) for row in rows},
        "left_out": list(dict.fromkeys(left_out)),
        "scores": scores,
    }
    text = scores_text(scores, settings.what)
    write_whole(folder / SCORES, _json(report, measured), shared=True)
    write_whole(folder / TABLE, text.encode(), shared=True)
    return text


def _json(report: Mapping[str, Any], answers: Sequence[Answer]) -> bytes:
    """The report with its answers, one a line."""
    head = json.dumps(report, indent=2, ensure_ascii=False).removesuffix("\n}")
    lines = ",\n".join(f"    {json.dumps(each, ensure_ascii=False)}" for each in answers)
    return f'{head},\n  "answers": [\n{lines}\n  ]\n}}\n'.encode()


def file_name(label: str) -> str:
    """A label as the name of a file."""
    return re.sub(r"[^\w.-]+", "-", label)[:100].strip(".-") or "row"
