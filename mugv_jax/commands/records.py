# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""`mugv-jax info FILE`: how a video or picture was made, from the record in the file."""

import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from mugv_jax import video
from mugv_jax.files import user_path
from mugv_jax.video.records import Record

TITLES = ("made_by", "system", "prompt", "seed")


def is_media(path: str) -> bool:
    """Whether a path is an existing file with the suffix of a video or picture."""
    place = user_path(path)
    return place.is_file() and place.suffix.lower() in (*video.VIDEOS, *video.PICTURES)


def record_in(path: str) -> Record:
    """The record in a file.

    Raises:
        ValueError: there is none, or it is damaged.
    """
    record = video.read_record(path)
    if record is None:
        raise ValueError(
            f"{path} does not say how it was made: it is not of mugv-jax, was written with "
            "--no-metadata, or another program has left the tags out."
        )
    return record


def show(path: str, *, as_json: bool) -> None:
    """Print the record in a file.

    Raises:
        ValueError: see `record_in`.
    """
    record = record_in(path)
    text = (
        json.dumps(record, indent=2, ensure_ascii=False) if as_json else "\n".join(_lines(record))
    )
    sys.stdout.write(text + "\n")


def _lines(record: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    """Lines of a record: names with values, groups below their names."""
    order = {name: place for place, name in enumerate(TITLES)}
    for name, value in sorted(record.items(), key=lambda item: order.get(item[0], len(order))):
        if isinstance(value, Mapping):
            if value:
                yield f"{indent}{_printable(name)}"
                yield from _lines(value, f"{indent}  ")
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            for number, each in enumerate(value):
                yield f"{indent}{_printable(name)} {number}"
                yield from _lines(each, f"{indent}  ")
        elif value is not None:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            yield f"{indent}{_printable(name):22}{_printable(text)}"


def _printable(text: str) -> str:
    """`text` without characters that would control a terminal."""
    return "".join(each if each.isprintable() else " " for each in text)
