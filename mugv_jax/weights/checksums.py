# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Checksums of the files of an Orbax checkpoint, written once and verified before values are used.

    checksums.json    {"algorithm": "crc32", "files": {path: [bytes, checksum]}}

Orbax protects its own index, but not the values of arrays, so damaged values would be read as
other values. CRC-32 (`zlib.crc32`) detects accidental damage and reads faster than disks do; it is
no protection against intent.
"""

import concurrent.futures
import json
import os
import zlib
from pathlib import Path

from mugv_jax.files import read_json

FILE = "checksums.json"
ALGORITHM = "crc32"
BLOCK_BYTES = 2**22
THREADS = 4  # `zlib.crc32` runs outside of Python's lock


def write(folder: Path) -> None:
    """Writes the checksums of all files that `folder` holds."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != FILE)
    names = [path.relative_to(folder).as_posix() for path in paths]
    found = dict(zip(names, _each(paths), strict=True))
    content = {"algorithm": ALGORITHM, "files": found}
    (folder / FILE).write_text(json.dumps(content, indent=0) + "\n")


def verify(folder: Path) -> int | None:
    """Number of files of `folder` that were compared with their checksums; None if it has none.

    Raises:
        ValueError: files that are missing or differ, all of them named, or a damaged list.
    """
    stated = _read(folder / FILE)
    if stated is None:
        return None
    absent = [name for name in stated if not (folder / name).is_file()]
    present = [name for name in stated if name not in absent]
    found = _each([folder / name for name in present])
    changed = [name for name, each in zip(present, found, strict=True) if each != stated[name]]
    if absent or changed:
        listed = ((absent, "missing"), (changed, "changed since they were written"))
        problems = "; ".join(f"{what}: {', '.join(names)}" for names, what in listed if names)
        raise ValueError(
            f"{folder}: a damaged checkpoint: {len(absent) + len(changed)} of {len(stated)} files "
            f"differ from {FILE} ({problems}). Copy it again, or convert the published file anew."
        )
    return len(stated)


def _read(path: Path) -> dict[str, tuple[int, str]] | None:
    """Size and checksum of every file by its path in the folder; None if there is no list."""
    if not path.is_file():
        return None
    try:
        content = read_json(path)
        stated = {name: (int(size), str(crc)) for name, (size, crc) in content["files"].items()}
        if content["algorithm"] != ALGORITHM:
            raise ValueError(f"algorithm {content['algorithm']!r}")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path}: a damaged list of checksums ({error!r}); copy the checkpoint again."
        ) from error
    return stated


def _each(paths: list[Path]) -> list[tuple[int, str]]:
    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(_checksum, paths))


def _checksum(path: Path) -> tuple[int, str]:
    """Size and CRC-32 of a file."""
    crc = 0
    with open(path, "rb") as file:
        while block := file.read(BLOCK_BYTES):
            crc = zlib.crc32(block, crc)
        return os.fstat(file.fileno()).st_size, f"{crc:08x}"
