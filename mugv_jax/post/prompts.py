# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Prompts to sample videos for: a table with a column `caption`, or a text file.

caption[,id][,more columns]    more columns are kept with every sample
a red star moves left          a text file: one prompt a line; empty lines and # are skipped
"""

import dataclasses
import io
from collections.abc import Iterator, Mapping
from pathlib import Path

from mugv_jax.data.bad_sample import listed
from mugv_jax.data.captions import ID, LONGEST_ID
from mugv_jax.files import check_text, existing_file
from mugv_jax.tables import MISTAKE, SUFFIXES, Record, read_records, read_text

COLUMNS = ("caption", "id")
NUMBER_BYTES = 8  # of a sample's number, which follows the prompt's id in names of files


@dataclasses.dataclass(frozen=True)
class Prompt:
    """One caption to sample for.

    id: unique in the list; by default the number of the prompt, from 0.
    about: the further columns of its row.
    """

    id: str
    caption: str
    about: Mapping[str, str] = dataclasses.field(default_factory=dict)


def read_prompts(path: Path) -> list[Prompt]:
    """Prompts of a list, in its order.

    Raises:
        ValueError: no such file, no prompts, or rows that cannot be used, the first few named.
    """
    path = existing_file(path, "prompts")
    prompts: dict[str, Prompt] = {}
    mistakes = []
    for number, (where, values) in enumerate(_records(path)):
        try:
            prompt = _prompt(number, values)
            if prompt.id in prompts:
                raise ValueError(f"id {prompt.id!r} is there twice: give each prompt its own.")
            prompts[prompt.id] = prompt
        except ValueError as error:
            mistakes.append(f"{where}: {error}")
    if mistakes:
        raise ValueError(f"prompts {path}: {listed(mistakes, 'mistaken', 'mistaken')}")
    if not prompts:
        raise ValueError(f"prompts {str(path)!r} is empty: write a caption a line, or a table.")
    return list(prompts.values())


def _records(path: Path) -> Iterator[Record]:
    if path.suffix.lower() in SUFFIXES:
        yield from read_records(path, COLUMNS)
        return
    for number, line in enumerate(io.StringIO(read_text(path), newline=None), start=1):
        if line.strip() and not line.startswith("#"):
            yield f"line {number}", {"caption": line.strip()}


def _prompt(number: int, values: Mapping[str, object]) -> Prompt:
    if values.keys() == {MISTAKE}:
        raise ValueError(f"{values[MISTAKE]}.")
    if "caption" not in values:
        raise ValueError(
            f"there is no column caption among {', '.join(map(str, values))}: name the column with "
            "the prompts so."
        )
    caption = str(values["caption"] or "").strip()
    if not caption:
        raise ValueError("the caption is empty: describe the video in words.")
    check_text("caption", caption)
    name = str(values.get("id") or f"{number:05d}")
    if not ID.fullmatch(name) or len(name.encode()) > LONGEST_ID - NUMBER_BYTES:
        raise ValueError(
            f"id {name[:20]!r} must be letters, digits, '.', '-' and '_' only, at most "
            f"{LONGEST_ID - NUMBER_BYTES} bytes."
        )
    about = {
        key: "" if value is None else str(value)
        for key, value in values.items()
        if key not in COLUMNS
    }
    return Prompt(name, caption, about)
