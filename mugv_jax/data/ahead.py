# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Results of a slow function, computed in threads ahead of the consumer."""

import collections
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
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
    waiting: collections.deque[tuple[Item, Callable[[], Result]]] = collections.deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for item in items:
                waiting.append((item, pool.submit(function, item).result))
                if len(waiting) == threads:
                    yield waiting.popleft()
            while waiting:
                yield waiting.popleft()
        finally:  # the consumer may stop early
            pool.shutdown(wait=False, cancel_futures=True)
