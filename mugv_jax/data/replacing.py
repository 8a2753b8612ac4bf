# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Folders that a command fills and resumes, begun anew: older results go once newer ones are there.

name       -> .replaced/name while the command works
.replaced  -> removed if the command has begun to write, moved back if it failed before
"""

import contextlib
import os
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

from mugv_jax.data.folder_lock import only_process

ASIDE = ".replaced"


@contextlib.contextmanager
def replacing(folder: Path, names: Collection[str], *, proof: str) -> Iterator[None]:
    """Context in which `folder` lacks the files and folders `names`, which a command has written.

    proof: the one of `names` that shows that the block has begun to replace them: a file that is
        not empty, or a folder that holds one. If it is not there when the block fails, or the
        block has written nothing, what was there before is moved back.

    What is not among `names` stays. A killed process leaves the older results in `.replaced`, from
    where the next call moves them back or removes them in the same way.

    Raises:
        ValueError: another process works in the folder, or it cannot be written.
    """
    aside = folder / ASIDE
    if not any((folder / name).exists() for name in names) and not aside.exists():
        yield
        return
    with only_process(folder):
        _settle(folder, names, proof)
        aside.mkdir()
        _move(names, folder, aside)
    try:
        yield
    finally:
        _settle(folder, names, proof)


def _settle(folder: Path, names: Collection[str], proof: str) -> None:
    """Remove `.replaced` if newer results are there, else move its contents back."""
    aside = folder / ASIDE
    if not aside.exists():
        return
    if not _written(folder / proof):
        for name in names:
            if (aside / name).exists():
                _remove(folder / name)
        _move(names, aside, folder)
    shutil.rmtree(aside)


def _move(names: Collection[str], source: Path, target: Path) -> None:
    for name in names:
        if (source / name).exists():
            os.replace(source / name, target / name)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _written(path: Path) -> bool:
    files = path.rglob("*") if path.is_dir() else [path]
    return any(each.is_file() and each.stat().st_size for each in files)
