# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Small files that appear under their name only when they are complete."""

import csv
import functools
import io
import os
import secrets
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from mugv_jax import interrupts


def write_whole(path: Path, content: bytes, *, shared: bool = False) -> None:
    """Writes `content` to `path`; an older file stays until then, and after a failure.

    shared: several processes may write `path` at the same time, and the last one wins. Otherwise
        the temporary file of a process that was killed is overwritten by the next write.
    """
    own = f".{secrets.token_hex(4)}" if shared else ""
    partial = path.with_name(f".{path.name}{own}.partial")
    with interrupts.cleanup(functools.partial(partial.unlink, missing_ok=True)):
        try:
            with open(partial, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())  # or a crash of the machine may leave an empty file
            partial.replace(path)
        except OSError as error:  # the error of a full disk does not name the file
            raise OSError(error.errno, error.strerror, os.fspath(path)) from error


def csv_bytes(rows: Iterable[Mapping[str, str]], columns: Collection[str]) -> bytes:
    """Content of a csv file with a header."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()
