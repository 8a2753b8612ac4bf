# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Atomic writing: a file or folder appears under its name only when it is complete."""

import contextlib
import errno
import fcntl
import functools
import os
import secrets
import shutil
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from mugv_jax import interrupts

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

WRITING_S = 5.0  # for which a folder is removed again and again
REPLACED = "replaced"  # in a temporary folder: the older target, until the new one has its name


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
    remove = functools.partial(_remove, target=target)
    with contextlib.ExitStack() as stack:
        try:
            folder = stack.enter_context(temporary_folder(target.parent, prefix, remove))
        except OSError as error:
            raise ValueError(f"{target}: cannot be written there ({error.strerror}).") from error
        refuse_existing(target, overwrite=overwrite, markers=markers)  # if it was put back
        with explaining_full_disks(target):
            yield folder / target.name
        refuse_existing(target, overwrite=overwrite, markers=markers)
        _replace(folder / target.name, target, aside=folder / REPLACED)


@contextlib.contextmanager
def temporary_folder(
    parent: Path, prefix: str, remove: Callable[[Path], object] | None = None
) -> Iterator[Path]:
    """A new folder in `parent`, removed however the block ends.

    Folders that killed processes left under the same prefix are removed first.

    remove: removes such a folder, if that takes more than deleting it.

    Raises:
        OSError: `parent` cannot be written.
    """
    remove = remove or _remove_tree
    folder = parent / f"{prefix}{secrets.token_hex(4)}"
    with interrupts.cleanup(functools.partial(remove, folder)):
        parent.mkdir(parents=True, exist_ok=True)
        for stale in parent.iterdir():
            if stale.name.startswith(prefix):
                _remove_stale(stale, remove)
        folder.mkdir(mode=0o700)
        lock = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield folder
        finally:
            os.close(lock)


@contextlib.contextmanager
def explaining_full_disks(target: Path) -> Iterator[None]:
    """Context in which `target` is written; says so if there is no space for it.

    Raises:
        ValueError: the disk is full, or a quota or limit on the size of a file is reached.
    """
    try:
        yield
    except Exception as error:
        reason = _no_space(error)
        if reason is None:
            raise
        raise ValueError(
            f"{target}: cannot be written ({reason}): free space, or name another disk, and run "
            "the same command again."
        ) from error


def _no_space(error: BaseException | None) -> str | None:
    """The reason why an error, or one that it arose from, says that there is no space left."""
    while error is not None:
        for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            # TensorStore's errors carry the number in their text only.
            if getattr(error, "errno", None) == number or os.strerror(number) in str(error):
                return os.strerror(number)
        error = error.__cause__ or error.__context__
    return None


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


def _remove(folder: Path, target: Path) -> None:
    """Removes a temporary folder, after an existing `target` that it holds is put back."""
    if (folder / REPLACED).exists() and not target.exists():
        os.rename(folder / REPLACED, target)
    _remove_tree(folder)


def _remove_tree(folder: Path) -> None:
    """Removes a folder into which threads of an interrupted Orbax may still be writing."""
    end = time.monotonic() + WRITING_S
    shutil.rmtree(folder, ignore_errors=True)
    while folder.exists() and time.monotonic() < end:
        time.sleep(0.01)
        shutil.rmtree(folder, ignore_errors=True)


def _remove_stale(folder: Path, remove: Callable[[Path], object]) -> None:
    """Removes what a killed process left; a running process holds the lock of its folder."""
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        remove(folder)
    except BlockingIOError:
        return
    finally:
        os.close(lock)
