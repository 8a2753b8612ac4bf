# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Digests by which a result names the weights that it was made with.

The digest of a file is the SHA-256 of its size and of its contents: of all of them up to
WHOLE_BYTES, and of SAMPLES evenly spaced blocks, the first and the last among them, of a larger
file. It finds any training, merging or conversion of the weights, and reads at most 64 MiB of a
file, so the 32 GB of the 10B model take about a second. It does not find a change of a few bytes
between the blocks: `mugv-jax info --verify` is for damage. Names of files do not count, so copied
and renamed weights keep their digest; the same weights in another format have another one.
"""

import functools
import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from mugv_jax.weights import checksums
from mugv_jax.weights.formats import open_source
from mugv_jax.weights.orbax_files import is_training, steps

SAMPLES, BLOCK_BYTES = 1024, 2**16
WHOLE_BYTES = SAMPLES * BLOCK_BYTES
SHOWN = 16  # hexadecimal digits: 64 bits
TOKENIZER_SUFFIXES = (".json", ".model", ".txt")


def weights_digest(path: Path) -> str:
    """Digest of a checkpoint or adapter, published or converted, as SHOWN hexadecimal digits.

    An Orbax folder is known by its checksums, which cover every byte.

    Raises:
        OSError: files that cannot be read.
    """
    try:
        with open_source(path) as source:
            places = source.files()
    except ValueError:  # an adapter in a form of its own
        places = [path]
    return _joined(file for place in places for file in _files(place))


def tokenizer_digest(folder: Path) -> str:
    """Digest of the small files of a tokenizer's folder."""
    if not folder.is_dir():
        return _joined([folder])
    return _joined(sorted(each for each in folder.iterdir() if each.suffix in TOKENIZER_SUFFIXES))


def file_digest(path: Path) -> str:
    """SHA-256 of all bytes of a file, for pictures and videos that are read."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _files(place: Path) -> list[Path]:
    """Files of a checkpoint in a stable order; of a training run, those of the newest step."""
    if not place.is_dir():
        return [place]
    if (place / checksums.FILE).is_file():
        return [place / checksums.FILE]
    if is_training(place) and steps(place):
        place = steps(place)[-1]
    return sorted(path for path in place.rglob("*") if path.is_file())


def _joined(files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in files:
        state = os.stat(path)
        digest.update(_sampled(path, state.st_size, state.st_mtime_ns))
    return digest.hexdigest()[:SHOWN]


@functools.lru_cache(maxsize=4096)
def _sampled(path: Path, size: int, _changed_ns: int) -> bytes:
    """Digest of one file; computed once while size and time of change stay the same."""
    digest = hashlib.sha256(f"{size} ".encode())
    with open(path, "rb") as file:
        if size <= WHOLE_BYTES:
            digest.update(file.read())
        else:
            for block in range(SAMPLES):
                file.seek(block * (size - BLOCK_BYTES) // (SAMPLES - 1))
                digest.update(file.read(BLOCK_BYTES))
    return digest.digest()
