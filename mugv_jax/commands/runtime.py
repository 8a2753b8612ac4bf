# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Parts of commands that use devices: the compile cache, and reports on memory."""

import contextlib
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import jax

from mugv_jax.commands.options import Group, add_path
from mugv_jax.files import user_path

try:
    import resource
except ImportError:  # missing on Windows
    resource = None

log = logging.getLogger(__name__)

COMPILE_CACHE = "~/.cache/mugv_jax/compiled"


def add_compile_cache(group: Group) -> None:
    """Add the option that `keep_compiled` reads."""
    cache = f"folder that keeps compiled programs between runs [{COMPILE_CACHE}]"
    add_path(group, "--compile-cache", cache)


def keep_compiled(folder: str | None) -> Path | None:
    """Turn on jax's persistent cache; returns its folder.

    Without `folder` it is that of the environment (JAX_COMPILATION_CACHE_DIR), or COMPILE_CACHE;
    only a given `folder` must be writable.

    Raises:
        ValueError: `folder` cannot be written.
    """
    set_before = jax.config.jax_compilation_cache_dir  # pyright: ignore[reportAttributeAccessIssue]
    chosen = folder or set_before or COMPILE_CACHE
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
    jax.config.update("jax_compilation_cache_dir", os.fspath(path))
    # All programs: a warm start would otherwise spend most of its time on dozens of small ones.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    return path


@contextlib.contextmanager
def out_of_memory(remedy: str) -> Iterator[None]:
    """Turn a device's lack of memory into a ValueError that names the remedy."""
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        raise ValueError(f"the device ran out of memory: {remedy}.") from error


def log_peak_memory() -> None:
    """Log peak memory, which `mugv-jax info` predicts: of the devices, or on a CPU the process."""
    held = [
        (device.memory_stats() or {}).get("peak_bytes_in_use") for device in jax.local_devices()
    ]
    known = [nbytes for nbytes in held if nbytes is not None]
    if len(known) == len(held):
        log.info("peak memory of a device: %.1f GiB", max(known) / 2**30)
    elif resource is not None:
        unit = 1 if sys.platform == "darwin" else 2**10  # bytes there, kibibytes elsewhere
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
        log.info("peak memory of the process: %.1f GiB", peak / 2**30)
