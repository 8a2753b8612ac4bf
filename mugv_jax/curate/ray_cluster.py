# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Ray: its cluster for the duration of a phase, and its silence.

Ray logs by loggers with handlers of their own, by progress bars, by the output of its workers and
by its C++ core. A command has its own progress, so all of these tell errors only.
"""

import contextlib
import logging
import os
from collections.abc import Iterator
from typing import Any

from mugv_jax.curate.packages import needed

LOGGERS = ("ray", "ray.data")
CORE_LEVEL = "RAY_BACKEND_LOG_LEVEL"  # environment variable that Ray's core reads when it starts


@contextlib.contextmanager
def cluster(workers: int) -> Iterator[Any]:
    """The module `ray.data`, with the cluster that this process is part of, or one on this machine.

    workers: processors of a cluster that is started here.
    """
    ray, data = needed("ray"), needed("ray.data")
    context = data.DataContext.get_current()
    context.enable_progress_bars = False
    before = {name: logging.getLogger(name).level for name in LOGGERS}
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        if ray.is_initialized():
            yield data
            return
        mine: dict[str, Any] = {"num_cpus": workers, "include_dashboard": False}
        options = {} if os.environ.get("RAY_ADDRESS") else mine
        with _quiet_core():
            ray.init(log_to_driver=False, logging_level=logging.ERROR, **options)
        try:
            yield data
        finally:
            ray.shutdown()
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


@contextlib.contextmanager
def _quiet_core() -> Iterator[None]:
    """Context in which Ray's core starts with a level that a user has not set otherwise."""
    if CORE_LEVEL in os.environ:
        yield
        return
    os.environ[CORE_LEVEL] = "fatal"  # its errors are warnings about how Ray Data uses it
    try:
        yield
    finally:
        del os.environ[CORE_LEVEL]
