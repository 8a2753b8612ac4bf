# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Videos and pictures with their captions: a csv or jsonl file, or a folder.

    path,caption[,id][,fps]          other columns are ignored; file_name,text means the same
    path,caption,id,start_s,end_s,crop      parts of videos (`part`)
    path,caption,short_caption       a second, shorter caption, of which SFT draws one
    {"path": "boat.mp4", "caption": "a red paper boat"}
    boat.mp4 beside boat.txt         in a folder without a list, and where a list has no caption

Paths are relative to the list.
"""

import collections
import dataclasses
import hashlib
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mugv_jax import video
from mugv_jax.data.bad_sample import listed
from mugv_jax.data.part import COLUMNS as OF_PART
from mugv_jax.data.part import END, START, WHOLE, Part, read_part
from mugv_jax.files import check_text, shortened
from mugv_jax.tables import MISTAKE, SUFFIXES, read_records, read_text

SIDECAR = ".txt"
# Lists in a folder, which then count for it: ours, and those of Hugging Face's data sets.
LISTS = ("captions.csv", "metadata.csv", "metadata.jsonl")
NAMES = {"path": ("path", "file_name"), "caption": ("caption", "text")}  # columns, the first wins
SHORT = "short_caption"
COLUMNS = (*NAMES["path"], *NAMES["caption"], SHORT, "id", "fps", *OF_PART)
ID = re.compile(r"\w[\w.-]*")  # ids become parts of file names
# File systems allow names of 255 bytes; `encoded.py` and a temporary name add up to 40.
LONGEST_ID = 215
MAX_FPS = 1000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Captioned:
    """One entry of the list.

    id: unique in the list; by default derived from the path.
    fps: frame rate to read this video at; None uses the rate of all videos.
    part: what the sample shows of the video.
    short: a second, shorter caption, if there is one.
    """

    id: str
    path: Path
    caption: str
    fps: float | None
    part: Part = WHOLE
    short: str | None = None


@dataclasses.dataclass(frozen=True)
class _Entry:
    """One entry before it has an id.

    where: place in the list, for messages.
    name: the path as the list states it.
    id: None for a default one.
    """

    where: str
    name: str
    path: Path
    caption: str
    id: str | None
    fps: float | None
    part: Part
    short: str | None


def read_captions(path: Path, default: str | None = None) -> list[Captioned]:
    """The entries of a list in order, or of a folder and its subfolders sorted by name.

    default: caption of files that have none.

    Raises:
        ValueError: there is no such list or folder, or entries cannot be used; the first few are
            named.
    """
    path = next((path / name for name in LISTS if (path / name).is_file()), path)
    if path.is_dir():
        records = _folder_records(path)
    elif path.suffix.lower() in SUFFIXES and path.is_file():
        records = read_records(path, COLUMNS)
    else:
        reason = "is not a list" if path.exists() else "does not exist"
        raise ValueError(
            f"captions {str(path)!r}: {reason}; give a {', '.join(SUFFIXES)} file, or a folder of "
            f"videos and pictures with a {SIDECAR} file beside each."
        )
    folder = path if path.is_dir() else path.parent
    entries, mistakes = [], []
    for where, values in records:
        try:
            entries.append(_entry(where, folder, values, default))
        except ValueError as error:
            mistakes.append(f"{where}: {error}")
    ids, repeated = _ids(entries)
    mistakes += repeated
    if mistakes:
        raise ValueError(f"captions {path}: {listed(mistakes, 'mistaken', 'mistaken')}")
    if not entries:
        holds = "holds no videos or pictures" if path.is_dir() else "is empty"
        raise ValueError(f"captions {str(path)!r} {holds}.")
    return [
        Captioned(
            id=name,
            path=entry.path,
            caption=entry.caption,
            fps=entry.fps,
            part=entry.part,
            short=entry.short,
        )
        for name, entry in zip(ids, entries, strict=True)
    ]


def _folder_records(folder: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """A record for each video and picture; hidden files and folders are left out."""
    suffixes = (*video.VIDEOS, *video.PICTURES)
    names = (os.fspath(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    for name in sorted(names, key=lambda name: Path(name).parts):
        hidden = any(part.startswith(".") for part in Path(name).parts)
        if Path(name).suffix.lower() in suffixes and not hidden:
            yield name, {"path": name}


def _entry(where: str, folder: Path, values: Mapping[str, Any], default: str | None) -> _Entry:
    """The entry of a record in a list in `folder`.

    Raises:
        ValueError: values that make no entry.
    """
    if values.keys() == {MISTAKE}:
        raise ValueError(f"{values[MISTAKE]}.")
    name = _text(values, "path")
    given = values.get("id")
    chosen = None if given in (None, "") else str(given)
    if chosen is not None and not ID.fullmatch(chosen):
        raise ValueError(f"id {chosen!r} must be letters, digits, '.', '-' and '_' only.")
    if chosen is not None and len(chosen.encode()) > LONGEST_ID:
        raise ValueError(f"id {chosen[:20]!r}... is longer than {LONGEST_ID} bytes.")
    return _Entry(
        where=where,
        name=name,
        path=folder / name,
        caption=_caption(values, folder / name, default),
        id=chosen,
        fps=_fps(values.get("fps")),
        part=read_part(values),
        short=_short(values),
    )


def _text(values: Mapping[str, Any], meaning: str) -> str:
    """The text in the first column that has this meaning.

    Raises:
        ValueError: it is missing or empty.
    """
    found = [values[name] for name in NAMES[meaning] if values.get(name) is not None]
    texts = [each.strip() for each in found if isinstance(each, str) and each.strip()]
    if not texts:
        raise ValueError(f"{meaning} is {'empty' if found else 'missing'}.")
    check_text(meaning, texts[0])
    return texts[0]


def _short(values: Mapping[str, Any]) -> str | None:
    """The short caption of a record; None if it states none.

    Raises:
        ValueError: no text.
    """
    value = values.get(SHORT)
    if value is None or value == "":
        return None
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{SHORT}={shortened(repr(value))} must be a text, or left out.")
    check_text(SHORT, value)
    return value.strip()


def _caption(values: Mapping[str, Any], path: Path, default: str | None) -> str:
    """The caption of a record, else of the text file beside `path`, else `default`.

    A text file tells of the whole file: it is no caption of a record that is a part of a video.

    Raises:
        ValueError: there is neither, or the file holds no text.
    """
    try:
        return _text(values, "caption")
    except ValueError as error:
        reason = str(error).removesuffix(".")
    a_part = any(values.get(name) not in (None, "") for name in (START, END))
    caption = None if a_part else sidecar_caption(path)
    if caption is None and default is None:
        remedy = (
            "write it into the list: a text file beside the video tells of the whole of it"
            if a_part
            else f"and there is no {path.with_suffix(SIDECAR).name} beside the file: write one"
        )
        raise ValueError(f"{reason}, {remedy}.")
    return caption or default or ""


def sidecar_caption(path: Path) -> str | None:
    """Text of the file beside a video or picture, in one line; None if there is no such file.

    Raises:
        ValueError: the file is empty, or no text.
    """
    sidecar = next((each for each in _sidecars(path) if each.is_file()), None)
    if sidecar is None:
        return None
    caption = " ".join(read_text(sidecar).split())
    if not caption:
        raise ValueError(f"{sidecar} is empty: write the caption into it.")
    return caption


def _sidecars(path: Path) -> tuple[Path, Path]:
    return path.with_suffix(SIDECAR), path.with_name(path.name + SIDECAR)


def _fps(value: Any) -> float | None:
    """The frame rate of an entry; None if it states none.

    Raises:
        ValueError: not a positive number up to MAX_FPS.
    """
    if value is None or value == "":
        return None
    try:
        fps = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        fps = math.nan
    if not 0 < fps <= MAX_FPS:
        shown = shortened(repr(value))
        raise ValueError(f"fps={shown} must be a positive number up to {MAX_FPS}, or left out.")
    return fps


def file_ids(names: Sequence[str], longest: int = LONGEST_ID) -> list[str]:
    """Default ids of files: the path without suffix, and a hash of it where it is not unique.

    longest: bytes of an id; longer ones are cut, and get a hash too.
    """
    plain = [_default(name) for name in names]
    counts = collections.Counter(plain)
    return [
        _hashed(made, name, longest) if counts[made] > 1 or len(made.encode()) > longest else made
        for made, name in zip(plain, names, strict=True)
    ]


def _ids(entries: Sequence[_Entry]) -> tuple[list[str], list[str]]:
    """(the id of every entry, a mistake for each entry whose id or path is that of another).

    A default id is the path without suffix. Where several entries have the same, a hash of the path
    is added to each default one, whatever their order.
    """
    ids, mistakes = [], []
    plain = [entry.id or _default(entry.name) for entry in entries]
    counts = collections.Counter(plain)
    seen: dict[str, str] = {}  # id -> place of its entry
    for name, entry in zip(plain, entries, strict=True):
        if entry.id is None and (counts[name] > 1 or len(name.encode()) > LONGEST_ID):
            name = _hashed(name, entry.name)
        if name in seen:
            mistakes.append(
                f"{entry.where}: id {name!r} is that of {seen[name]} too: give each its own id."
            )
        seen.setdefault(name, entry.where)
        ids.append(name)
    return ids, mistakes


def _default(name: str) -> str:
    path = Path(name)
    stem = os.fspath(path.with_suffix("") if path.name else path)
    made = re.sub(r"[^\w.-]+", "_", stem.lstrip("./"))
    return made if ID.fullmatch(made) else f"_{made}"


def _hashed(made: str, name: str, longest: int = LONGEST_ID) -> str:
    """The default id `made` of the path `name`, cut if it is long, and a hash of the path."""
    digest = hashlib.sha256(os.fspath(Path(name)).encode()).hexdigest()[:8]
    short = made.encode()[: longest - len(digest) - 1].decode(errors="ignore")
    return f"{short}-{digest}"
