# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Graceful shutdown: SIGTERM or Ctrl-C stops a run between two steps, after a checkpoint."""

import contextlib
import logging
import signal
from collections.abc import Iterator
from typing import Any

import jax

from mugv_jax.train.checkpoint import Checkpoints

log = logging.getLogger(__name__)


class Stop:
    """Handler of SIGTERM and Ctrl-C; a second signal ends the process immediately.

    With several processes all must stop at the same step: `jax.distributed` broadcasts a SIGTERM of
    any process to all others, so its own handler is left in place.
    """

    def __init__(self, checkpoints: Checkpoints):
        self._checkpoints = checkpoints
        self._signalled = False

    @contextlib.contextmanager
    def listening(self) -> Iterator["Stop"]:
        """Context with the signal handlers installed; restores the previous ones on exit."""
        numbers = [] if jax.process_count() > 1 else [signal.SIGTERM, signal.SIGINT]
        before = {}
        for number in numbers:
            with contextlib.suppress(ValueError):  # only the main thread may set handlers
                before[number] = signal.signal(number, self._handle)
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler or signal.SIG_DFL)  # None: not set by Python

    def asked(self, step: int) -> bool:
        """Whether to stop after `step`; the same in all processes."""
        return self._signalled or self._checkpoints.stopping(step)

    def _handle(self, number: int, _: Any) -> None:
        if self._signalled:
            raise KeyboardInterrupt
        self._signalled = True
        name = signal.Signals(number).name
        log.info("%s: saving after this step; a second signal ends the process at once.", name)
