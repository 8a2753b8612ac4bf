# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Rows of `mugv-jax generate`: one for each prompt of the command line, or of a file --prompts.

    a boat                                    one prompt a line; empty lines and # lines are skipped
    prompt,image,seed,size,frames,output      csv or tsv with some of these columns
    {"prompt": "a boat", "seed": 3}           jsonl

What a row does not say is taken from the command line; row number i (from 0) without a seed has
--seed + i, whichever rows are made.
"""

import argparse
import dataclasses
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mugv_jax import hints
from mugv_jax.bounds import require_seed
from mugv_jax.files import existing_file, shortened, user_path
from mugv_jax.tables import MISTAKE, SUFFIXES, Record, read_records, read_text

COLUMNS = ("prompt", "image", "seed", "size", "frames", "output")
TEXT = "a text file of prompts, one a line"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One video to make; None stands for the value of the command line.

    number: place among all rows, from 0.
    where: name of the row in messages, such as "line 3".
    image: path of the first frame, already relative to the working directory.
    """

    number: int
    where: str
    prompt: str
    image: str | None = None
    seed: int | None = None
    size: str | None = None
    frames: str | None = None
    output: str | None = None

    def options(self, args: argparse.Namespace) -> dict[str, Any]:
        """Options of the row alone, where they differ from those of the command line."""
        given = {"image": self.image, "size": self.size, "frames": self.frames}
        return {name: value for name, value in given.items() if value is not None} | {
            "prompt": [self.prompt],
            "seed": args.seed + self.number if self.seed is None else self.seed,
        }


def rows_of(args: argparse.Namespace) -> list[Row]:
    """Rows of the parsed options.

    Raises:
        ValueError: prompts both ways or none, or a file that `read_rows` refuses.
    """
    if args.prompts is None:
        if not args.prompt:
            raise ValueError(
                "no prompt: write one in quotes, or give --prompts FILE or --like FILE."
            )
        return [
            Row(number=number, where=f"prompt {number + 1}", prompt=prompt)
            for number, prompt in enumerate(args.prompt)
        ]
    if args.prompt:
        raise ValueError(
            f"prompt {shortened(args.prompt[0])!r} and --prompts: give prompts one way, on the "
            "command line or in the file."
        )
    return read_rows(user_path(args.prompts))


def read_rows(path: Path) -> list[Row]:
    """Rows of a list of prompts; paths of pictures are relative to its folder.

    Raises:
        ValueError: a file that cannot be read, has no rows or unknown columns; or the mistakes of
            all rows together.
    """
    path = existing_file(path, "prompts")
    if path.suffix.lower() == ".json":
        raise ValueError(
            f"prompts {str(path)!r}: write one object a line, with the suffix .jsonl; or give a "
            f"{', '.join(SUFFIXES[:-1])} file, or {TEXT}."
        )
    records = list(_records(path))
    if not records:
        raise ValueError(f"prompts {str(path)!r} is empty: it needs a prompt a line, or a table.")
    _check_columns(path, records)
    rows, mistakes = [], []
    for number, (where, values) in enumerate(records):
        try:
            rows.append(_row(number, where, values, path.parent))
        except ValueError as error:
            mistakes.append(f"{where}: {error}")
    refuse_mistakes(path, mistakes)
    return rows


def refuse_mistakes(path: str | Path, mistakes: list[str]) -> None:
    """Raise a ValueError with all mistakes of a list, if there are any."""
    if len(mistakes) == 1:
        raise ValueError(f"prompts {str(path)!r}, {mistakes[0]}")
    if mistakes:
        heading = f"prompts {str(path)!r}: {len(mistakes)} rows cannot be used."
        raise ValueError("\n".join([heading, *mistakes]))


def _records(path: Path) -> Iterator[Record]:
    if path.suffix.lower() in SUFFIXES:
        yield from read_records(path, COLUMNS)
        return
    for number, line in enumerate(io.StringIO(read_text(path), newline=None), start=1):
        if line.strip() and not line.startswith("#"):
            yield f"line {number}", {"prompt": line.strip()}


def _check_columns(path: Path, records: list[Record]) -> None:
    """Raise a ValueError for names that no column has; a misspelt one would be ignored."""
    names = {str(name) for _, values in records for name in values} - {MISTAKE}
    unknown = sorted(names - {*COLUMNS})
    if unknown:
        guess = hints.nearest(unknown[0], COLUMNS)
        meant = f" (did you mean {guess}?)" if guess else ""
        raise ValueError(
            f"prompts {str(path)!r}: there is no column {shortened(unknown[0])!r}{meant}; there "
            f"are {', '.join(COLUMNS)}."
        )
    if names and "prompt" not in names:
        raise ValueError(f"prompts {str(path)!r} has no column prompt, which says what to make.")


def _row(number: int, where: str, values: Mapping[str, Any], folder: Path) -> Row:
    if MISTAKE in values:
        raise ValueError(f"{values[MISTAKE]}.")
    texts = {name: _text(name, values.get(name)) for name in COLUMNS}
    if texts["prompt"] is None:
        raise ValueError("the prompt is empty: describe the video in words.")
    image = texts["image"]
    return Row(
        number=number,
        where=where,
        prompt=texts["prompt"],
        image=None if image is None else str(folder / user_path(image)),
        seed=_seed(texts["seed"]),
        size=texts["size"],
        frames=texts["frames"],
        output=texts["output"],
    )


def _text(name: str, value: Any) -> str | None:
    """A cell as text; None if it is empty."""
    if isinstance(value, bool) or not isinstance(value, str | int | float | None):
        raise ValueError(f"{name}={shortened(repr(value))} must be a text or a number.")
    text = "" if value is None else str(value).strip()
    return text or None


def _seed(text: str | None) -> int | None:
    if text is None:
        return None
    if not text.isdecimal() or len(text) > 20:
        raise ValueError(f"seed={shortened(text)!r} must be a whole number from 0 up.")
    require_seed("seed", int(text))
    return int(text)
