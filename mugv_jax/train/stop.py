# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""A run that is told to stop does so between two steps, with everything saved."""

import contextlib
import logging
import signal
from collections.abc import Iterator
from typing import Any

import jax

from mugv_jax.train.checkpoint import Checkpoints

log = logging.getLogger(__name__)


class Stop:
    """Notices SIGTERM and Ctrl-C; a second one ends the process at once.

    Of a run of many processes each must stop at the same step. A SIGTERM to any of them is told to
    all by `jax.distributed`, whose own handler must therefore stay in place.
    """

    def __init__(self, checkpoints: Checkpoints):
        self._checkpoints = checkpoints
        self._signalled = False

    @contextlib.contextmanager
    def listening(self) -> Iterator["Stop"]:
        """Handlers are set inside, and what was there before is put back."""
        numbers = [] if jax.process_count() > 1 else [signal.SIGTERM, signal.SIGINT]
        before = {}
        for number in numbers:
            with contextlib.suppress(ValueError):  # only the main thread may
                before[number] = signal.signal(number, self._handle)
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def asked(self, step: int) -> bool:
        """Whether to stop before the step after `step`; the same in all processes."""
        return self._signalled or self._checkpoints.stopping(step)

    def _handle(self, number: int, _: Any) -> None:
        if self._signalled:
            raise KeyboardInterrupt
        self._signalled = True
        log.info("%s: saving after this step; once more ends at once.", signal.Signals(number).name)
