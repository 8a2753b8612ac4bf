# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Atomic writing: a file or folder appears under its name only when it is complete."""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path

# Files by which a folder is recognised as a checkpoint: of Orbax, Megatron or peft, or a whole
# pipeline or single model of diffusers or transformers.
MARKERS = (
    "_METADATA",
    "latest_checkpointed_iteration.txt",
    "adapter_config.json",
    "model_index.json",
    *(
        f"{stem}.safetensors{index}"
        for stem in ("model", "diffusion_pytorch_model")
        for index in ("", ".index.json")
    ),
)


@contextlib.contextmanager
def staged(target: Path, *, overwrite: bool, markers: Collection[str] = MARKERS) -> Iterator[Path]:
    """A path to write to, which becomes `target` when the block ends without an error.

    The path is in a hidden folder beside `target`, which is removed however the block ends. A
    folder left by a killed process is removed when the next process writes the same target.

    Raises:
        ValueError: `target` exists and `overwrite` is not set, or its folder cannot be written.
    """
    refuse_existing(target, overwrite=overwrite, markers=markers)
    prefix = f".{target.name}.partial-"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        for folder in target.parent.iterdir():
            if folder.name.startswith(prefix):
                _remove_stale(folder)
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=target.parent))
    except OSError as error:
        raise ValueError(f"{target}: cannot be written there ({error.strerror}).") from error
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder / target.name
        refuse_existing(target, overwrite=overwrite, markers=markers)
        _replace(folder / target.name, target, aside=folder / "replaced")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def refuse_existing(target: Path, *, overwrite: bool, markers: Collection[str] = MARKERS) -> None:
    """Raises a ValueError if `target` exists and must not be replaced.

    An empty folder may be replaced; with `overwrite` also a file, or a folder that is a checkpoint
    (one that contains any of `markers`). Any other folder may hold unrelated files.
    """
    inside = set(os.listdir(target)) if target.is_dir() else set()
    if not target.exists() or (target.is_dir() and not inside):
        return
    if not overwrite:
        raise ValueError(f"{target} exists; pass --overwrite to replace it.")
    if target.is_dir() and not inside & set(markers):
        what = "checkpoint" if markers == MARKERS else "data set"
        raise ValueError(f"{target} is a folder but no {what}, and is not replaced.")


def _replace(new: Path, target: Path, *, aside: Path) -> None:
    """Moves `new` to `target`; an existing folder is kept at `aside` until that succeeds."""
    try:
        if target.is_dir():
            os.rename(target, aside)
        os.rename(new, target)
    except BaseException:
        if aside.exists() and not target.exists():
            os.rename(aside, target)
        raise


def _remove_stale(folder: Path) -> None:
    """Removes what a killed process left; a running process holds the lock of its folder."""
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder)
    except BlockingIOError:
        return
    finally:
        os.close(lock)
