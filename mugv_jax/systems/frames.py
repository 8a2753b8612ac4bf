# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Decoded frames of videos: gathered with a progress bar, in tiles where memory is short."""

import logging
from collections.abc import Callable, Iterable

import jax
import numpy as np
from jaxtyping import UInt8

from mugv_jax.progress import Bar
from mugv_jax.systems.tiles import Tiling

log = logging.getLogger(__name__)

# Several videos of one size; f, h and w are not those of a latent.
Videos = UInt8[np.ndarray, "b _f _h _w 3"]

FALLBACK_TILING = Tiling(rows=64, columns=64)  # 512 pixels


def gather(parts: Iterable[Videos], total: int, label: str | None) -> Videos:
    """All `total` frames of videos that are decoded a few frames at a time.

    label: label of a progress bar over frames; None shows no bar.
    """
    gathered = []
    with Bar(label or "", total=total, unit="frame", shown=label is not None) as bar:
        for part in parts:
            gathered.append(part)
            bar.update(part.shape[1])
    return np.concatenate(gathered, axis=1)


def whole_or_tiled(
    decode: Callable[[Tiling | None], Videos], tiling: Tiling | None
) -> tuple[Videos, Tiling | None]:
    """Decoded frames, and the tiling for all later videos.

    `tiling` is None for whole frames. If these do not fit the device's memory, FALLBACK_TILING is
    used instead, so that sampled latents are not lost.
    """
    try:
        return decode(tiling), tiling
    except jax.errors.JaxRuntimeError as error:
        if tiling is not None or "RESOURCE_EXHAUSTED" not in str(error):
            raise
    log.warning("Whole frames do not fit the device's memory: the VAE goes on in tiles.")
    return decode(FALLBACK_TILING), FALLBACK_TILING
