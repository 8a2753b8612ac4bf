# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Results of a slow function, computed in threads ahead of the consumer."""

import collections
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def ahead(
    function: Callable[[Item], Result], items: Iterable[Item], *, threads: int
) -> Iterator[tuple[Item, Callable[[], Result]]]:
    """Pairs of an item and a call that waits for `function(item)`, in the order of `items`.

    The call returns the result or raises the function's error. At most `threads` results are
    computed ahead, and as many are held in memory.
    """
    waiting: collections.deque[tuple[Item, Future[Result]]] = collections.deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for item in items:
                waiting.append((item, pool.submit(function, item)))
                if len(waiting) == threads:
                    yield _next(waiting)
            while waiting:
                yield _next(waiting)
        finally:  # the consumer may stop early
            pool.shutdown(wait=False, cancel_futures=True)


def _next(
    waiting: collections.deque[tuple[Item, Future[Result]]],
) -> tuple[Item, Callable[[], Result]]:
    item, future = waiting.popleft()
    return item, future.result
