# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The next few results of a slow function, made in threads while the last one is used."""

import collections
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def ahead(
    function: Callable[[Item], Result], items: Iterable[Item], *, threads: int
) -> Iterator[tuple[Item, Callable[[], Result]]]:
    """(item, call) in order; the call waits for `function(item)` and gives it, or raises for it.

    At most `threads` results wait, so that as many are in memory.
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
        finally:  # the caller may stop early
            pool.shutdown(wait=False, cancel_futures=True)


def _next(
    waiting: collections.deque[tuple[Item, Future[Result]]],
) -> tuple[Item, Callable[[], Result]]:
    item, future = waiting.popleft()
    return item, future.result
