# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Post-hoc EMA of saved checkpoints (arXiv:2510.17519, section 4.2.3).

    w = sum_k a_k w_k,    a_k = decay^(n - k) / sum_j decay^(n - j),    k = 1 .. n, newest last

The decay is chosen after training; decay = 1 is the plain mean.
"""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from mugv_jax.weights.check import check, identify
from mugv_jax.weights.parameter_source import ParameterSource
from mugv_jax.weights.parameters import (
    CONSTANTS,
    PIECE_BYTES,
    UNUSED,
    Index,
    LazyTensor,
    rows_per_piece,
)
from mugv_jax.weights.sources import Source


def weights_of(count: int, decay: float) -> np.ndarray:
    """Weights a_1 .. a_count of the average, float64.

    Raises:
        ValueError: a decay outside (0, 1], or nothing to average.
    """
    if not 0 < decay <= 1:
        raise ValueError(f"decay={decay} must lie in (0, 1]; 1 is the plain mean.")
    if count < 2:
        raise ValueError(f"{count} checkpoint: an average needs at least 2, oldest first.")
    powers = decay ** np.arange(count - 1, -1, -1, dtype=np.float64)
    return powers / powers.sum()


def average(sources: Sequence[Source], decay: float, kind: str | None = None) -> ParameterSource:
    """The average of checkpoints of one model, oldest first, computed lazily.

    Sums are float64, rounded once to the dtype of the newest checkpoint. Tensors that are not
    trained (the VAE's statistics, tensors that the model never reads) come from the newest one.

    Raises:
        ValueError: fewer than two checkpoints, a decay out of range, or different models.
    """
    shares = weights_of(len(sources), decay)
    identified = [identify(source, kind) for source in sources]
    (model, config), newest = identified[-1], sources[-1]
    for source, (other, sizes) in zip(sources, identified):
        if (other, sizes) != (model, config):
            raise ValueError(
                f"{source.path} holds {other.kind} with {sizes}, but {newest.path} holds "
                f"{model.kind} with {config}: only checkpoints of one model have an average."
            )
    checkpoints = [check(source, model, config) for source in sources]

    unreleased = 0

    def release(nbytes: int) -> None:
        """Free the sources' buffers, once per PIECE_BYTES because reopening files is slow."""
        nonlocal unreleased
        unreleased += nbytes
        if unreleased > PIECE_BYTES:
            unreleased = 0
            for source in sources:
                source.release()

    parameters = {
        path: lazy
        if path.startswith((CONSTANTS, f"{UNUSED}/"))
        else _average([each[path] for each in checkpoints], shares, release)
        for path, lazy in checkpoints[-1].items()
    }
    return ParameterSource(newest.path, newest.format, model.kind, config, parameters)


def _average(
    tensors: Sequence[LazyTensor], shares: np.ndarray, release: Callable[[int], None]
) -> LazyTensor:
    newest = tensors[-1]

    def read(index: Index) -> np.ndarray:
        total = np.zeros(tuple(part.stop - part.start for part in index), np.float64)
        for tensor, share in zip(tensors, shares):
            part = tensor.read(index)
            wide = part.astype(np.float64)
            release(part.nbytes)
            wide *= share
            total += wide
        return total.astype(newest.dtype)

    # Pieces are sized for the float64 sums, not for the dtype that is read.
    rows = rows_per_piece(newest.shape, np.dtype(np.float64)) if newest.stacked else newest.rows
    return dataclasses.replace(newest, read=read, rows=rows)
