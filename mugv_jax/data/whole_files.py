# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Small files that appear under their name only when they are complete."""

import os
import secrets
from pathlib import Path


def write_whole(path: Path, content: bytes, *, shared: bool = False) -> None:
    """Writes `content` to `path`; until that is done, and after a failure, the old file stays.

    shared: several processes may write `path` at once, and the last one wins. Otherwise what a
        killed process left is overwritten by the next that writes `path`.
    """
    own = f".{secrets.token_hex(4)}" if shared else ""
    partial = path.with_name(f".{path.name}{own}.partial")
    try:
        with open(partial, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # else a crash of the machine may leave the name empty
        partial.replace(path)
    except OSError as error:  # a full disk does not say for which file
        raise OSError(error.errno, error.strerror, os.fspath(path)) from error
    finally:
        partial.unlink(missing_ok=True)
