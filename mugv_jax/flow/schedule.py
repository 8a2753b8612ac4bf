# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Times of sampling steps: uniform, then shifted towards noise for larger videos."""

import itertools
import math
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from mugv_jax.axes import Array, Float

BASE_PIXELS = 512 * 512
MAX_SHOWN = 8  # times in a message
MAX_STEPS = 1000  # of times that are given one by one
MAX_SHIFT = 10_000  # times of float32 then differ from noise in the first steps


def shift_ratio(height_px: int, width_px: int, latent_frames: int) -> float:
    """sqrt(height width / 512^2) sqrt(latent frames): more pixels hide more noise."""
    return math.sqrt(height_px * width_px / BASE_PIXELS) * math.sqrt(latent_frames)


def check_shift(shift: float | None) -> None:
    """Raise a ValueError for a given ratio that no schedule can have."""
    if shift is not None and not 0 < shift <= MAX_SHIFT:
        raise ValueError(
            f"shift={shift} must be above 0 and at most {MAX_SHIFT}; 1 leaves the times where they "
            "are."
        )


def shift_time(u: Float[Array, "..."], ratio: float) -> Float[Array, "..."]:
    """t = ratio u / (1 + (ratio - 1) u) for u in [0, 1]; keeps 0 and 1 in place."""
    return ratio * u / (1 + (ratio - 1) * u)


def sample_times(steps: int, ratio: float, start: float = 1.0) -> np.ndarray:
    """All `steps` + 1 times of a sample, float32 in [0, 1], from shifted `start` down to 0.

        u_i = start (1 - i / steps), shifted

    `start` below 1 begins at a partially noised video.

    Raises:
        ValueError: no steps, or a start outside (0, 1].
    """
    if steps < 1:
        raise ValueError(f"steps={steps} must be at least 1.")
    if not 0 < start <= 1:
        raise ValueError(f"start={start} must lie in (0, 1]: 1 is pure noise.")
    u = start * (1 - np.arange(steps + 1) / steps)
    return (ratio * u / (1 + (ratio - 1) * u)).astype(np.float32)


def check_times(times: Sequence[float] | None) -> None:
    """Raise a ValueError for given times of the steps that no sampler can have."""
    if times is None:
        return
    falling = all(later < earlier for earlier, later in itertools.pairwise(times))
    if not (1 <= len(times) <= MAX_STEPS and times[0] == 1 and falling and times[-1] > 0):
        raise ValueError(
            f"times={','.join(map(str, times[:MAX_SHOWN]))} must be 1 to {MAX_STEPS} falling "
            "numbers above 0, the first of them 1, which is pure noise: times at which the model "
            "is evaluated, such as 1,0.6."
        )


def given_times(times: Sequence[float]) -> np.ndarray:
    """All times of a sample, float32: `times`, at which the model is evaluated, and 0."""
    return np.asarray([*times, 0], np.float32)


def logit_normal(normal: Float[Array, "b"]) -> Float[Array, "b"]:
    """u in (0, 1) from standard normal draws: the training distribution of times (unshifted)."""
    return 1 / (1 + jnp.exp(-normal))
