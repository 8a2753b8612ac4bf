# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Shapes of many latent files, each read once: they are kept in an index beside the csv."""

import io
import logging
import os
import zipfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from tqdm import tqdm

from mugv_jax.data.pt_files import latent_shape
from mugv_jax.data.samples import BadSample
from mugv_jax.data.whole_files import write_whole

log = logging.getLogger(__name__)

THREADS = 16  # they wait for the disk, not for the processor
QUIET_SECONDS = 2  # no bar for what is done sooner

Shape = tuple[int, int, int]
Stamp = tuple[int, int]  # size in bytes and time of change in nanoseconds


def read_shapes(csv: Path, relative_paths: Sequence[str]) -> list[Shape | BadSample]:
    """(f, h, w) of every latent file, or what is wrong with it. Paths are relative to `csv`.

    The index beside `csv` says what is known; a file that has changed since is read anew. Where
    the folder cannot be written to, nothing is kept.
    """
    known = _read_index(index_path(csv))
    read: dict[str, tuple[Stamp, Shape]] = {}

    def look(relative: str) -> Shape | BadSample:
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

    with ThreadPoolExecutor(THREADS) as pool:
        looked = pool.map(look, relative_paths)
        bar = tqdm(
            looked,
            total=len(relative_paths),
            desc="reading headers",
            unit="sample",
            delay=QUIET_SECONDS,
            disable=None,  # silent where there is no terminal
        )
        shapes = list(bar)
    if read:
        wanted = {path: known[path] for path in relative_paths if path in known}
        _write_index(index_path(csv), wanted | read)
    return shapes


def index_path(csv: Path) -> Path:
    """Where the shapes of the samples of `csv` are kept."""
    return csv.with_name(f".{csv.stem}.shapes.npz")


def _read_index(path: Path) -> dict[str, tuple[Stamp, Shape]]:
    try:
        with np.load(path) as index:
            columns = (index["paths"].tolist(), index["stamps"].tolist(), index["shapes"].tolist())
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return {}  # none yet, or one to be written anew
    return {p: (tuple(stamp), tuple(shape)) for p, stamp, shape in zip(*columns, strict=True)}


def _write_index(path: Path, known: Mapping[str, tuple[Stamp, Shape]]) -> None:
    content = io.BytesIO()
    np.savez(
        content,
        paths=np.array(list(known)),
        stamps=np.array([stamp for stamp, _ in known.values()], np.int64),
        shapes=np.array([shape for _, shape in known.values()], np.int32),
    )
    if not os.access(path.parent, os.W_OK):
        return
    try:
        write_whole(path, content.getvalue(), shared=True)
    except OSError as error:
        log.warning("%s: not written (%s); headers are read anew next time.", path, error.strerror)
