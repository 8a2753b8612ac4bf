# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Records inside of files that we write: how a video or a picture was made, as JSON.

    mp4, mov, mkv    tags of the container: KEY, and a sentence for people in "comment"
    png              text chunks (iTXt) of the same names

Matroska keeps names of tags in capitals, so they are compared without case. A record is written by
whoever had the file last, so everything about it is checked when it is read.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image, PngImagePlugin

from mugv_jax.files import existing_file, parse_json
from mugv_jax.video.files import open_media
from mugv_jax.video.kinds import kind_of
from mugv_jax.video.pillow_pictures import DAMAGED

KEY = "mugv_jax"
COMMENT = "comment"
MAX_BYTES = 2**20  # of a record: a thousand are far more than any request needs
Record = dict[str, Any]


def tags_of(record: Mapping[str, Any] | None) -> dict[str, str]:
    """Tags by name for a file with this record; none for None."""
    if record is None:
        return {}
    text = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
    return {KEY: text, COMMENT: comment_of(record)}


def comment_of(record: Mapping[str, Any]) -> str:
    """A sentence about a record for players and file managers, which show no other tags."""
    if "videos" in record:
        return " | ".join(map(comment_of, record["videos"]))
    prompt, seed = record.get("prompt", ""), record.get("seed")
    return f"{prompt} (seed {seed}; {record.get('made_by', KEY)}, generated video)"


def png_info(record: Mapping[str, Any] | None) -> PngImagePlugin.PngInfo:
    """Text chunks for `Image.save(pnginfo=...)`."""
    info = PngImagePlugin.PngInfo()
    for name, text in tags_of(record).items():
        info.add_itxt(name, text)
    return info


def read_record(path: str | os.PathLike) -> Record | None:
    """The record in a video or PNG file; None if there is none.

    Raises:
        ValueError: no file, one that cannot be read, or a record that is damaged.
    """
    path = existing_file(path)
    text = _png_text(path) if kind_of(path) == "PNG" else _tag(path)
    if text is None:
        return None
    if len(text) > MAX_BYTES:
        raise ValueError(f"{path}: its record has {len(text)} characters; at most {MAX_BYTES} are.")
    record = parse_json(text, f"{path}: its record")
    if not isinstance(record, dict):
        raise ValueError(f"{path}: its record must hold names and values in braces.")
    return record


def _tag(path: Path) -> str | None:
    with open_media(path) as container:
        tags = {name.lower(): text for name, text in container.metadata.items()}
    return tags.get(KEY)


def _png_text(path: Path) -> str | None:
    try:
        with Image.open(path) as image:
            return image.text.get(KEY)  # pyright: ignore[reportAttributeAccessIssue] - PNG
    except (Image.DecompressionBombError, *DAMAGED) as error:
        raise ValueError(f"picture {str(path)!r} is damaged: {error}.") from error
