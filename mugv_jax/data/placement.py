# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Batches on devices before they are asked for, so that reading and copying overlap training."""

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
    """Global arrays of the batches of all processes, up to `depth` of them ahead of the consumer.

    One thread takes batches, in order, and starts their copies. The state is that of the batch
    delivered last, whatever was read since: a checkpoint after step i resumes with step i + 1.

    waited_s: seconds that the consumer has waited here, in all.
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
        """Of the batch delivered last."""
        return self._state

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue after the batch that `state` was taken at."""
        self._drop_ahead()
        self._batches.set_state(state)
        self._state = self._batches.get_state()

    def start_prefetch(self) -> None:
        """Begins to read and place, up to the depth."""
        while len(self._ahead) < self._depth:
            self._ahead.append(self._thread.submit(self._take))

    def close(self) -> None:
        """Ends all reading."""
        self._drop_ahead()
        self._thread.shutdown()
        self._batches.close()
        super().close()

    def _take(self) -> tuple[Placed, dict[str, Any]]:
        return place_batch(next(self._batches), self._mesh), self._batches.get_state()

    def _drop_ahead(self) -> None:
        """Waits for the one under way: the batches must not move while their state is set."""
        for future in self._ahead:
            future.cancel()
        futures.wait(self._ahead)
        self._ahead.clear()
