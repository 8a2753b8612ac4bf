# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Batches copied to devices ahead of time, so that reading and copying overlap training."""

import collections
import time
from concurrent import futures
from typing import Any

import grain
from jax.sharding import Mesh

from mugv_jax.axes import Array
from mugv_jax.data.batches import Batches
from mugv_jax.sharding.place import place_batch

Placed = dict[str, Array]


class PlacedBatches(grain.DatasetIterator):
    """Batches of all processes as global arrays, up to `depth` of them ahead of the consumer.

    One thread takes batches in order and starts their copies. The state is that of the last batch
    delivered, whatever was read since, so a checkpoint after step i resumes with step i + 1.

    waited_s: total time that the consumer has waited for batches.
    """

    def __init__(self, batches: Batches, mesh: Mesh, *, depth: int = 2):
        super().__init__()
        self.waited_s = 0.0
        self._batches = batches
        self._mesh = mesh
        self._depth = depth
        self._state = batches.get_state()
        self._ahead: collections.deque[futures.Future] = collections.deque()
        self._thread = futures.ThreadPoolExecutor(1, thread_name_prefix="place-batches")
        if depth < 1:
            raise ValueError(f"depth={depth} must be at least 1: one batch is always under way.")

    def __next__(self) -> Placed:
        self.start_prefetch()
        started = time.perf_counter()
        try:
            placed, self._state = self._ahead.popleft().result()
        finally:
            self.waited_s += time.perf_counter() - started
        self.start_prefetch()
        return placed

    def get_state(self) -> dict[str, Any]:
        """The state after the last batch delivered."""
        return self._state

    def set_state(self, state: dict[str, Any]) -> None:
        """Continues after the batch that `state` belongs to."""
        self._drop_ahead()
        self._batches.set_state(state)
        self._state = self._batches.get_state()

    def start_prefetch(self) -> None:
        """Starts reading and copying, up to `depth` batches."""
        while len(self._ahead) < self._depth:
            self._ahead.append(self._thread.submit(self._take))

    def close(self) -> None:
        """Ends reading, and the thread."""
        self._drop_ahead()
        self._thread.shutdown()
        self._batches.close()
        super().close()

    def _take(self) -> tuple[Placed, dict[str, Any]]:
        """The next batch on its devices, and the state after it."""
        return place_batch(next(self._batches), self._mesh), self._batches.get_state()

    def _drop_ahead(self) -> None:
        """Discards what was read ahead, once the thread is idle.

        The thread must not advance the batches while their state is set.
        """
        for future in self._ahead:
            future.cancel()
        futures.wait(self._ahead)
        self._ahead.clear()
