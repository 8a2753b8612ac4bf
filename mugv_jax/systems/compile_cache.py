# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Compiled programs kept between processes: jax's persistent cache, in one folder for all uses."""

import logging
import os
import tempfile
from pathlib import Path

import jax
from jax.experimental.compilation_cache import compilation_cache

from mugv_jax.files import user_path

log = logging.getLogger(__name__)

COMPILE_CACHE = "~/.cache/mugv_jax/compiled"


def keep_compiled(folder: str | os.PathLike | None = None) -> Path | None:
    """Turn on jax's persistent cache; returns its folder, or None if programs are not kept.

    Without `folder` it is that of the environment (JAX_COMPILATION_CACHE_DIR), or COMPILE_CACHE;
    only a given `folder` must be writable. JAX_ENABLE_COMPILATION_CACHE=false turns all of it off.

    Raises:
        ValueError: `folder` cannot be written.
    """
    if not jax.config.jax_enable_compilation_cache:  # pyright: ignore[reportAttributeAccessIssue]
        return None
    set_before = _folder_in_use()
    chosen = os.fspath(folder or set_before or COMPILE_CACHE)
    path = user_path(chosen).absolute()
    try:
        path.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path).close()
    except OSError as error:
        reason = f"compile cache {chosen!r} cannot be written: {error.strerror}."
        if folder is not None:
            raise ValueError(f"{reason} Give another folder.") from error
        log.warning("%s Programs will be compiled anew in every run.", reason)
        return None
    log.debug("compiled programs are kept in %s", path)
    if set_before != os.fspath(path):
        compilation_cache.reset_cache()  # else jax stays with what it found at its first program
    jax.config.update("jax_compilation_cache_dir", os.fspath(path))
    # All programs: a warm start would otherwise spend most of its time on dozens of small ones.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    return path


def keep_in_python(cache: bool | str | os.PathLike) -> None:
    """Turn the cache on for a pipeline: True, False to change nothing, or a folder.

    A cache that the program has set up itself stays as it is.

    Raises:
        ValueError: a folder that cannot be written.
    """
    if isinstance(cache, bool):
        if cache and not _folder_in_use():
            keep_compiled()
    else:
        keep_compiled(cache)


def _folder_in_use() -> str | None:
    return jax.config.jax_compilation_cache_dir  # pyright: ignore[reportAttributeAccessIssue]
