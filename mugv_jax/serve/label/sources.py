# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Videos to be labelled, and what belongs to them: prompts, pictures, known answers.

a folder of videos      ids are names without suffix; prompts are read from the videos' records
SAMPLES of post sample  ids, prompts and videos of its train.csv
id,caption[,picture]    a list that adds prompts and pictures; id is that of a video, or its name
id,question,answer      a list of golden items
"""

import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mugv_jax.data.bad_sample import listed
from mugv_jax.data.published import ID as SAMPLE_ID
from mugv_jax.data.samples import CSV
from mugv_jax.files import check_text, existing_file, user_path
from mugv_jax.post.folder import read_rows
from mugv_jax.tables import MISTAKE, read_records
from mugv_jax.video import VIDEOS, read_record

PROMPT_COLUMNS = ("id", "caption", "picture")
GOLDEN_COLUMNS = ("id", "question", "answer")
MOST_PROMPT = 10_000  # characters


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
    """One video that is to be labelled.

    id: unique among the videos of a model.
    group: videos of one prompt have the same.
    start_s, end_s: part of the video.
    about: further columns that results repeat.
    """

    id: str
    path: Path
    model: str
    prompt: str = ""
    group: str = ""
    picture: Path | None = None
    start_s: float = 0.0
    end_s: float | None = None
    about: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Shown:
    """Prompt and picture of a video, from a list."""

    prompt: str
    picture: Path | None


def is_samples(folder: Path) -> bool:
    """Whether a folder is one of `post sample`."""
    return (folder / CSV).is_file()


def read_folder(
    folder: str | Path, model: str, shown: Mapping[str, Shown] | None = None
) -> list[Source]:
    """The videos of a folder in order of their names, or those of a folder of `post sample`.

    shown: prompts and pictures by id, of `read_shown`; they replace those of the videos.

    Raises:
        ValueError: no such folder, no videos, damaged records, or prompts for other videos.
    """
    folder, shown = user_path(folder), shown or {}
    if not folder.is_dir():
        raise ValueError(f"{str(folder)!r} is no folder: name a folder of videos.")
    found = _samples(folder, model) if is_samples(folder) else _videos(folder, model, shown)
    return [_with_shown(source, shown) for source in found]


def _videos(folder: Path, model: str, shown: Mapping[str, Shown]) -> list[Source]:
    files = sorted(each for each in folder.iterdir() if each.suffix.lower() in VIDEOS)
    if not files:
        raise ValueError(
            f"{str(folder)!r} holds no video ({', '.join(VIDEOS)}): name the folder that the "
            "videos are in."
        )
    ids = [file.stem for file in files]
    double = {name for name in ids if ids.count(name) > 1}
    if double:
        raise ValueError(
            f"{str(folder)!r} holds several videos named {min(double)!r}: names without suffix "
            "must differ."
        )
    made = []
    for file in files:
        known = file.stem in shown or file.name in shown
        prompt = "" if known else _recorded(file)
        made.append(Source(id=file.stem, path=file, model=model, prompt=prompt, group=prompt))
    return made


def _recorded(file: Path) -> str:
    """The prompt in a video's record; empty without one."""
    record = read_record(file) or {}
    prompt = record.get("prompt", "")
    return prompt[:MOST_PROMPT] if isinstance(prompt, str) else ""


def _samples(folder: Path, model: str) -> list[Source]:
    made = []
    for row in read_rows(folder, "prompt", "caption", "video_path"):
        if not row["video_path"]:
            raise ValueError(
                f"{folder / CSV}: {row[SAMPLE_ID]} has no video; make the samples with --videos "
                "mp4 or lossless."
            )
        made.append(
            Source(
                id=row[SAMPLE_ID],
                path=folder / row["video_path"],
                model=model,
                prompt=row["caption"],
                group=row["prompt"],
            )
        )
    return made


def _with_shown(source: Source, shown: Mapping[str, Shown]) -> Source:
    own = shown.get(source.id) or shown.get(source.path.name)
    if own is None:
        return source
    prompt = own.prompt or source.prompt
    group = source.group or prompt
    return dataclasses.replace(source, prompt=prompt, group=group, picture=own.picture)


def read_shown(path: Path) -> dict[str, Shown]:
    """Prompts and pictures of a list by the id or file name of their videos.

    Pictures are relative to the list.

    Raises:
        ValueError: no such file, or lines that are mistaken; the first few are named.
    """
    made: dict[str, Shown] = {}
    for name, values in _lines(path, "prompts", PROMPT_COLUMNS, ("id",)):
        prompt = _text(values.get("caption"))[:MOST_PROMPT]
        check_text("caption", prompt)
        picture = _text(values.get("picture"))
        made[name] = Shown(prompt, path.parent / user_path(picture) if picture else None)
    return made


def read_golden(
    path: Path, ids: Collection[str], answers: Mapping[str, Sequence[str]]
) -> dict[str, dict[str, str]]:
    """Known answers of a list: id -> question -> answer.

    ids: names of the items.
    answers: question -> the answers that it may have.

    Raises:
        ValueError: no such file, or lines that are mistaken; the first few are named.
    """
    made: dict[str, dict[str, str]] = {}
    mistakes = []
    for name, values in _lines(path, "golden items", GOLDEN_COLUMNS, GOLDEN_COLUMNS):
        question, answer = _text(values.get("question")), _text(values.get("answer"))
        if name not in ids:
            mistakes.append(f"id {name!r} is no item of this set.")
        elif question not in answers:
            mistakes.append(f"question {question!r} must be one of {', '.join(answers)}.")
        elif answer not in answers[question]:
            mistakes.append(f"answer {answer!r} must be one of {', '.join(answers[question])}.")
        else:
            made.setdefault(name, {})[question] = answer
    if mistakes:
        raise ValueError(f"golden items {path}: {listed(mistakes, 'mistaken', 'mistaken')}")
    return made


def read_review_list(path: Path) -> list[Source]:
    """The clips of a list of `data review`.

    Raises:
        ValueError: no such file, no clips, or lines that are mistaken; the first few are named.
    """
    from mugv_jax.curate.review import TOLD

    made: dict[str, Source] = {}
    for name, values in _lines(path, "review list", TOLD, ("id", "path")):
        about = {column: _text(values.get(column)) for column in TOLD}
        start, end = (_seconds(path, name, column, about[column]) for column in TOLD[2:4])
        made[name] = Source(
            id=name,
            path=existing_file(path.parent / user_path(about["path"]), "clip"),
            model="clips",
            prompt=about["caption"][:MOST_PROMPT],
            start_s=start or 0.0,
            end_s=end,
            about=about,
        )
    return list(made.values())


def _lines(
    path: Path, what: str, columns: Collection[str], needed: Collection[str]
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Id and values of every line of a list.

    Raises:
        ValueError: no such file, no lines, lines that cannot be read, or columns that lack.
    """
    path, empty = existing_file(path, what), True
    for where, values in read_records(path, columns):
        missing = [column for column in needed if not _text(values.get(column))]
        if MISTAKE in values:
            raise ValueError(f"{what} {path}, {where}: {values[MISTAKE]}.")
        if missing:
            raise ValueError(
                f"{what} {path}, {where}: {', '.join(missing)} is missing; the columns must be "
                f"{', '.join(columns)}."
            )
        empty = False
        yield _text(values["id"]), values
    if empty:
        raise ValueError(f"{what} {str(path)!r} is empty: it needs {', '.join(columns)}.")


def _seconds(path: Path, name: str, column: str, text: str) -> float | None:
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < 1e7:
        raise ValueError(f"review list {path}: {name} has {column}={text!r}, no time in seconds.")
    return seconds


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()
