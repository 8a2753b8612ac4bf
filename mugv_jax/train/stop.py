# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Graceful shutdown: SIGTERM or Ctrl-C stops a run between two steps, after a checkpoint.

A command then ends with status 0 after SIGTERM, which schedulers send, and 130 after Ctrl-C.
"""

import contextlib
import logging
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax

from mugv_jax import interrupts
from mugv_jax.train.checkpoint import Checkpoints

log = logging.getLogger(__name__)


class Stop:
    """Handler of SIGTERM and Ctrl-C; a second signal ends the process immediately.

    With several processes all must stop at the same step: `jax.distributed` broadcasts a SIGTERM of
    any process to all others, so its own handler is left in place.
    """

    def __init__(self, checkpoints: Checkpoints):
        self._checkpoints = checkpoints
        self._signalled, self._first = False, 0.0
        self._obey: Callable[[int], None] = lambda _: None

    @contextlib.contextmanager
    def listening(self) -> Iterator["Stop"]:
        """Context with the signal handlers installed; restores the previous ones on exit."""
        numbers = [] if jax.process_count() > 1 else [signal.SIGTERM, signal.SIGINT]
        before = {}
        with interrupts.postponed() if numbers else contextlib.nullcontext(self._obey) as obey:
            self._obey = obey
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
        now = time.monotonic()
        if self._signalled:
            if now - self._first > interrupts.AGAIN_S:
                raise KeyboardInterrupt
            return
        self._signalled, self._first = True, now
        self._obey(number)
        name = signal.Signals(number).name
        log.info("%s: saving after this step; a second signal ends the process at once.", name)
