# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Several processes that make a video together, as on a TPU pod: one leads, the others follow.

The leader has the requests. Everything that decides about a computation goes from it to the
others, so that all of them run the same programs in the same order. While nothing is asked, the
leader sends an empty word every IDLE_S, because devices wait for each other only so long.
"""

import dataclasses
import pickle
from typing import Any

import numpy as np

IDLE_S = 5.0
GO, STOP, PREVIEW = 0, 1, 2  # what is decided after a step, as bits
LEAST_BYTES = 4096


@dataclasses.dataclass(frozen=True)
class Pod:
    """Processes of one run of jax.

    number: this process, of `count`.
    """

    number: int
    count: int

    @classmethod
    def joined(cls) -> "Pod":
        """The processes of which this one is part, after `jax.distributed.initialize`."""
        import jax

        return cls(jax.process_index(), jax.process_count())

    @property
    def leads(self) -> bool:
        """Whether this process has the requests."""
        return self.number == 0

    def agree(self, value: int) -> int:
        """The leader's value, a small number."""
        if self.count == 1:
            return value
        return int(_broadcast(np.array([value], np.int32))[0])

    def share(self, value: Any = None) -> Any:
        """The leader's value, any that can be pickled; the others' are ignored."""
        if self.count == 1:
            return value
        content = pickle.dumps(value) if self.leads else b""
        length = self.agree(len(content))
        room = LEAST_BYTES
        while room < length:  # few sizes, as each compiles a program
            room *= 2
        padded = np.zeros(room, np.uint8)
        padded[: len(content)] = np.frombuffer(content, np.uint8)
        # Of our own leader, so that pickle is safe.
        return pickle.loads(_broadcast(padded)[:length].tobytes())


def _broadcast(array: np.ndarray) -> np.ndarray:
    from jax.experimental import multihost_utils

    return np.asarray(multihost_utils.broadcast_one_to_all(array))
