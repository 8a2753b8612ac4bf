# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Fast transposition: published matrices are (out, in), ours (in, out).

Transposition is most of the cost of reading. NumPy copies a transposed view line by line, each
value from another page of memory. Within square tiles the pages stay cached, and several threads
share the columns of tiles.
"""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

TILE = 256
# For fewer bytes a thread costs more time than it saves.
STRIP_BYTES = 2**22
MAX_THREADS = 8


def transposed(matrix: np.ndarray) -> np.ndarray:
    """Contiguous transposed copy of a matrix (i j)."""
    out = np.empty(matrix.shape[::-1], matrix.dtype)
    strips = max(1, min(MAX_THREADS, os.cpu_count() or 1, matrix.nbytes // STRIP_BYTES))
    step = -(-matrix.shape[1] // (strips * TILE)) * TILE

    def copy_strip(start: int) -> None:
        for j in range(start, min(start + step, matrix.shape[1]), TILE):
            for i in range(0, matrix.shape[0], TILE):
                stop = min(j + TILE, start + step)
                out[j:stop, i : i + TILE] = matrix[i : i + TILE, j:stop].T

    if strips == 1:
        copy_strip(0)
        return out
    with ThreadPoolExecutor(strips) as threads:
        for _ in threads.map(copy_strip, range(0, matrix.shape[1], step)):
            pass
    return out
