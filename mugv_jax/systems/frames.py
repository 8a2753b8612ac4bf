# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Frames of a video as they are decoded: counted, gathered, and in tiles if they must be."""

import logging
from collections.abc import Callable, Iterable

import jax
import numpy as np
from tqdm import tqdm

from mugv_jax.axes import Frames
from mugv_jax.systems.tiles import Tiling

log = logging.getLogger(__name__)

FALLBACK_TILING = Tiling(rows=64, columns=64)  # 512 pixels


def gather(parts: Iterable[Frames], total: int, label: str | None) -> Frames:
    """All `total` frames; a progress bar with this label counts them."""
    gathered = []
    with tqdm(total=total, desc=label, unit="frame", disable=label is None) as bar:
        for part in parts:
            gathered.append(part)
            bar.update(len(part))
    return np.concatenate(gathered)


def whole_or_tiled(
    decode: Callable[[Tiling | None], Frames], tiling: Tiling | None
) -> tuple[Frames, Tiling | None]:
    """Frames, and the tiling to go on with: another than `tiling` where whole frames do not fit.

    What was sampled for minutes must not be lost to the last and shortest stage.
    """
    try:
        return decode(tiling), tiling
    except jax.errors.JaxRuntimeError as error:
        if tiling is not None or "RESOURCE_EXHAUSTED" not in str(error):
            raise
    log.warning("Whole frames do not fit the device's memory: the VAE goes on in tiles.")
    return decode(FALLBACK_TILING), FALLBACK_TILING
