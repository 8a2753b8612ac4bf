# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Shapes of many latent files; an index beside the csv keeps them, so each header is read once."""

import io
import logging
import os
import zipfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from mugv_jax.data.bad_sample import BadSample
from mugv_jax.data.pt_files import latent_shape
from mugv_jax.data.whole_files import write_whole
from mugv_jax.progress import over

log = logging.getLogger(__name__)

THREADS = 16  # they wait for the disk, not for the processor
# Earlier versions kept (f, h, w) alone, and only of latents with so many channels.
CHANNELS_OF_OLD_INDEX = 24

LatentShape = tuple[int, int, int, int]  # (f, h, w, c)
Stamp = tuple[int, int]  # size in bytes and time of change in nanoseconds


def read_shapes(csv: Path, relative_paths: Sequence[str]) -> dict[str, LatentShape | BadSample]:
    """(f, h, w, c) of every latent file, or the reason why it cannot be used.

    Paths are relative to `csv`. A file whose size and time of change are those of the index is not
    read again. If the folder cannot be written, no index is kept.
    """
    known = _read_index(index_path(csv))
    read: dict[str, tuple[Stamp, LatentShape]] = {}

    def look(relative: str) -> LatentShape | BadSample:
        path = csv.parent / relative
        try:
            stat = path.stat()
            stamp = (stat.st_size, stat.st_mtime_ns)
            if known.get(relative, (None, None))[0] == stamp:
                return known[relative][1]
            shape = latent_shape(path)
        except OSError as error:
            return BadSample(f"{path}: cannot be read ({error.strerror}); remove its row.")
        except BadSample as error:
            return error
        read[relative] = (stamp, shape)
        return shape

    paths = tuple(dict.fromkeys(relative_paths))
    with ThreadPoolExecutor(THREADS) as pool:
        found = pool.map(look, paths)
        looked = over(found, "reading headers", total=len(paths), unit="sample")
        shapes = dict(zip(paths, looked, strict=True))
    if read:
        wanted = {path: known[path] for path in paths if path in known}
        _write_index(index_path(csv), wanted | read)
    return shapes


def index_path(csv: Path) -> Path:
    """The index of shapes that belongs to `csv`."""
    return csv.with_name(f".{csv.stem}.shapes.npz")


def _read_index(path: Path) -> dict[str, tuple[Stamp, LatentShape]]:
    try:
        with np.load(path) as index:
            shapes = index["shapes"]
            channels = index.get("channels", np.full(len(shapes), CHANNELS_OF_OLD_INDEX))
            columns = (index["paths"], index["stamps"], np.column_stack([shapes, channels]))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return {}  # no index yet, or a damaged one, which is written anew
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return {path: (tuple(stamp), tuple(shape)) for path, stamp, shape in rows}


def _write_index(path: Path, known: Mapping[str, tuple[Stamp, LatentShape]]) -> None:
    shapes = np.array([shape for _, shape in known.values()], np.int32)
    content = io.BytesIO()
    np.savez(
        content,
        paths=np.array(list(known)),
        stamps=np.array([stamp for stamp, _ in known.values()], np.int64),
        shapes=shapes[:, :3],
        channels=shapes[:, 3],
    )
    if not os.access(path.parent, os.W_OK):
        return
    try:
        write_whole(path, content.getvalue(), shared=True)
    except OSError as error:
        log.warning("%s: not written (%s); headers are read anew next time.", path, error.strerror)
