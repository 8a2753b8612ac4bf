# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Names of the files that `mugv-jax generate` writes, and which of them are to be made.

Nothing that exists is replaced without --overwrite:

    no -o             a new name from the prompt: outputs/a-red-boat.mp4, a-red-boat-2.mp4, ...
    -o FOLDER         a new name from the prompt in that folder
    -o FILE           that file, refused if it exists
    -o FILE, several  FILE_0, FILE_1, ...; those that exist are kept
    --prompts LIST    a name for each row in -o or outputs/LIST; those that exist are kept
"""

import argparse
import collections
import dataclasses
import re
from collections.abc import Collection, Sequence
from pathlib import Path

from mugv_jax import video
from mugv_jax.commands.rows import Row
from mugv_jax.files import check_output_folder, user_path

FOLDER, SUFFIX = Path("outputs"), ".mp4"
LONGEST_SLUG = 48  # characters
MAX_SLUG_BYTES = 180  # of 255 that a file's name may have


@dataclasses.dataclass(frozen=True)
class Place:
    """File of one row; `kept` if it exists and is not made again."""

    row: Row
    path: Path
    kept: bool = False


def places(args: argparse.Namespace, rows: Sequence[Row]) -> list[Place]:
    """The file of every row.

    Raises:
        ValueError: names that cannot be written, a single file that exists, or one name for two
            rows.
    """
    if args.prompts is not None:
        paths, chosen = _listed(args, rows), False
    else:
        paths, chosen = _of_prompts(args.output, rows)
    for path in paths:
        video.prepare_output(path)
    twice = [path for path, count in collections.Counter(paths).items() if count > 1]
    if twice:
        raise ValueError(f"several rows would be written to {twice[0]}: give each its own output.")
    there = [not chosen and not args.overwrite and path.exists() for path in paths]
    if any(there) and len(paths) == 1 and args.prompts is None:
        raise ValueError(
            f"output {str(paths[0])!r} exists: give --overwrite to replace it, or another --output."
        )
    return [Place(row, path, kept) for row, path, kept in zip(rows, paths, there, strict=True)]


def _listed(args: argparse.Namespace, rows: Sequence[Row]) -> list[Path]:
    """Paths of the rows of a list, which stay the same when the command is run again."""
    folder = user_path(args.output or FOLDER / user_path(args.prompts).stem)
    if folder.suffix.lower() in video.CONTAINERS or folder.is_file():
        raise ValueError(f"output {str(folder)!r} must be a folder for the videos of --prompts.")
    check_output_folder(folder)
    digits = max(3, len(str(len(rows))))
    return [
        folder / (row.output or f"{row.number + 1:0{digits}}-{slug(row.prompt)}{SUFFIX}")
        for row in rows
    ]


def _of_prompts(output: str | None, rows: Sequence[Row]) -> tuple[list[Path], bool]:
    """Paths for prompts of the command line, and whether they are names that did not exist."""
    folder = FOLDER if output is None else user_path(output)
    if output is None or folder.is_dir() or output.endswith(("/", "\\")):
        check_output_folder(folder)
        return _new_names(folder, rows), True
    if len(rows) == 1:
        return [folder], False
    return [folder.with_stem(f"{folder.stem}_{row.number}") for row in rows], False


def _new_names(folder: Path, rows: Sequence[Row]) -> list[Path]:
    """A new path for every row, from its prompt."""
    paths: list[Path] = []
    for row in rows:
        paths.append(_new(folder, slug(row.prompt), paths))
    return paths


def _new(folder: Path, stem: str, taken: Collection[Path]) -> Path:
    """The first of STEM.mp4, STEM-2.mp4, ... that does not exist and is not `taken`."""
    number, path = 1, folder / f"{stem}{SUFFIX}"
    while path.exists() or path in taken:
        number += 1
        path = folder / f"{stem}-{number}{SUFFIX}"
    return path


def slug(prompt: str) -> str:
    """The beginning of a prompt as part of a file name: its words in lower case, with hyphens."""
    words, name = re.findall(r"[^\W_]+", prompt.lower()), ""
    for word in words:
        longer = f"{name}-{word}" if name else word[:LONGEST_SLUG]
        if len(longer) > LONGEST_SLUG or len(longer.encode()) > MAX_SLUG_BYTES:
            break
        name = longer
    return name or "video"
