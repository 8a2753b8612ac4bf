# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Notes to the user on how a file is read, where it is not taken as it is."""

import functools
import logging
import os

log = logging.getLogger(__name__)

REMEMBERED = 65_536  # notes, so that memory stays bounded over a large data set


@functools.lru_cache(maxsize=REMEMBERED)
def _note(text: str) -> None:
    log.warning("%s", text)


def note_once(path: str | os.PathLike, text: str) -> None:
    """Log `text` about the file `path`, once in a process however often it is read."""
    _note(f"{str(path)!r} {text}")
