# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Processes of workers, as the server starts and ends them."""

import dataclasses
import multiprocessing
from collections.abc import Callable
from typing import Any

from mugv_jax.serve.videos.messages import Ready, Refused

END_S = 10.0


@dataclasses.dataclass(frozen=True)
class Worker:
    """A worker whose models were found.

    leads: whether the requests are for it; on a pod, only those of one machine's server are.
    """

    process: Any
    connection: Any  # of multiprocessing
    leads: bool

    def end(self) -> None:
        """End it at once; what it was making is lost."""
        self.process.kill()
        self.process.join(END_S)
        self.connection.close()


def start_worker(body: Callable[..., None], *args: Any) -> Worker:
    """A new process of a worker, when it is ready.

    body: its function, of a pipe and `args`; a new interpreter imports it by name.

    Raises:
        ValueError: options that it cannot work with.
        ChildProcessError: it ended before it was ready.
    """
    context = multiprocessing.get_context("spawn")
    own, other = context.Pipe()
    process = context.Process(target=body, args=(other, *args), name="worker", daemon=True)
    process.start()
    other.close()
    try:
        message = own.recv()
    except EOFError:
        process.join(END_S)
        raise ChildProcessError(f"its process ended with status {process.exitcode}.") from None
    except BaseException:
        process.kill()
        raise
    if isinstance(message, Refused):
        process.join(END_S)
        raise ValueError(message.message)
    assert isinstance(message, Ready)
    return Worker(process, own, message.leads)
