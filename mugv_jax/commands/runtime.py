# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Parts of commands that use devices: the compile cache, and reports on memory."""

import contextlib
import logging
import sys
from collections.abc import Iterator

import jax

from mugv_jax.commands.options import Group, add_path
from mugv_jax.systems.compile_cache import COMPILE_CACHE, keep_compiled

try:
    import resource
except ImportError:  # missing on Windows
    resource = None

__all__ = ["add_compile_cache", "keep_compiled", "log_peak_memory", "out_of_memory"]
log = logging.getLogger(__name__)


def add_compile_cache(group: Group) -> None:
    """Add the option that `keep_compiled` reads."""
    cache = f"folder that keeps compiled programs between runs [{COMPILE_CACHE}]"
    add_path(group, "--compile-cache", cache)


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
