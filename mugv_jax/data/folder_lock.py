# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Lock of a folder that a command fills and resumes, so that no two processes write it at once."""

import contextlib
import fcntl
import logging
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from mugv_jax import interrupts

log = logging.getLogger(__name__)

LOCK = ".lock"


@contextlib.contextmanager
def only_process(folder: Path, name: str = LOCK) -> Iterator[None]:
    """Context in which this process alone works in `folder`, which is made if it is missing.

    name: the file that is locked, and removed at the end. The kernel releases the lock of a killed
        process. Where a file system has no locks, a warning is logged.

    Raises:
        ValueError: another process works there, or the folder cannot be written.
    """
    path = folder / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = _locked(path)
    except BlockingIOError as error:
        owner = ""
        with contextlib.suppress(OSError):
            owner = path.read_text().strip()
        raise ValueError(
            f"{folder}: another process writes it ({owner or 'unnamed'}); wait for its end, or "
            "name another folder."
        ) from error
    except OSError as error:
        raise ValueError(f"{folder}: cannot be written ({error.strerror}).") from error
    with file, interrupts.cleanup(lambda: path.unlink(missing_ok=True)):
        with contextlib.suppress(OSError):  # on a full disk the lock has no name
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}")
            file.flush()
        yield


def _locked(path: Path) -> TextIO:
    """The open lock file; raises a BlockingIOError if another process holds the lock."""
    while True:
        file = path.open("a")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise
        except OSError as error:
            log.warning("%s: no lock (%s): start no second process there.", path, error.strerror)
            return file
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(path.stat(), os.fstat(file.fileno())):
                return file
        file.close()  # its last owner has just removed it
