# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Lists that people write: csv and jsonl files of any usual encoding and separator.

    UTF-8 and UTF-16, with and without a byte order mark; cells separated by , ; or a tab

The first line of a csv file names the columns; it decides the separator.
"""

import codecs
import contextlib
import csv
import io
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mugv_jax.files import parse_json

CSV_SUFFIXES = (".csv", ".tsv")
SUFFIXES = (*CSV_SUFFIXES, ".jsonl")
SEPARATORS = (",", ";", "\t")
MARKS = {  # the longer mark first: that of UTF-32 begins with that of UTF-16
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
MISTAKE = "mistake"  # key under which a record says why it cannot be used

# Where a record ends, such as "line 3", and its values. One that cannot be used is {MISTAKE: why}.
Record = tuple[str, Mapping[str, Any]]


def read_text(path: Path) -> str:
    """The text of a file, its encoding recognised by its first bytes.

    Raises:
        ValueError: the file cannot be read, or is neither UTF-8 nor UTF-16.
    """
    try:
        content = path.read_bytes()
        return content.decode(_encoding(content))
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path}: cannot be read as UTF-8 or UTF-16 text ({error}); save it as UTF-8."
        ) from error


def _encoding(content: bytes) -> str:
    for mark, encoding in MARKS.items():
        if content.startswith(mark):
            return encoding
    if content[1:2] == b"\0":  # lists begin with an ASCII character
        return "utf-16-le"
    return "utf-16-be" if content[:1] == b"\0" else "utf-8"


def read_records(path: Path, columns: Collection[str]) -> Iterator[Record]:
    """The records of a csv or jsonl file.

    columns: as of `read_csv`.

    Raises:
        ValueError: the file cannot be read.
    """
    if path.suffix.lower() in CSV_SUFFIXES:
        yield from read_csv(path, columns)[1]
        return
    for number, line in enumerate(io.StringIO(read_text(path), newline=None), start=1):
        if line.strip():
            yield f"line {number}", _json(line)


def read_csv(path: Path, columns: Collection[str]) -> tuple[list[str], Iterator[Record]]:
    """The names in the first line of a csv file, and the records below it.

    columns: names to look for in the first line, in lower case. They show which separator the file
        uses, and may be written in upper case.

    Raises:
        ValueError: the file cannot be read, at once or while records are taken.
    """
    text = read_text(path)
    with _csv_errors(path):
        header, separator = _header(text, columns)
    return header, _csv_records(path, text, header, separator)


def _csv_records(path: Path, text: str, header: Sequence[str], separator: str) -> Iterator[Record]:
    with _csv_errors(path):
        reader = csv.reader(
            io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True
        )
        next(reader, None)
        for cells in filter(None, reader):
            where = f"line {reader.line_num}"
            if any(cells[len(header) :]):
                yield where, {MISTAKE: _surplus(len(cells), len(header), separator)}
            else:
                yield where, dict(zip(header, cells))


@contextlib.contextmanager
def _csv_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except csv.Error as error:
        raise ValueError(f"{path}: is no csv file ({error}).") from error


def _surplus(cells: int, columns: int, separator: str) -> str:
    return (
        f"has {cells} cells, but the first line names {columns} columns: put cells that contain "
        f"{separator!r} in double quotes"
    )


def _header(text: str, columns: Collection[str]) -> tuple[list[str], str]:
    """The names in the first line, and the separator that finds most `columns` there."""
    best: tuple[list[str], str] = [], SEPARATORS[0]
    most = -1
    for separator in SEPARATORS:
        first = next(
            csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True),
            [],
        )
        stripped = [name.strip() for name in first]
        names = [name.lower() if name.lower() in columns else name for name in stripped]
        found = len({*names} & {*columns})
        if found > most:
            best, most = (names, separator), found
    return best


def _json(line: str) -> Mapping[str, Any]:
    try:
        record = parse_json(line, "the line")
    except ValueError as error:
        return {MISTAKE: f"is not JSON ({error})"}
    if not isinstance(record, dict):
        return {MISTAKE: f"is {str(record)[:80]}, but must be an object of named values"}
    return record
