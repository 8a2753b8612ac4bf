# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Reversal of sampling: a clean latent carried towards noise along the model's own flow.

    x_(k+1) = x_k + v(x_k, t_k) (t_k - t_(k+1)),   t_0 = 0 < t_1 < ...                          (1)

The steps are those of a sample in reverse order. Euler steps are not inverted exactly, as each
evaluates the velocity at the end with less noise: a reversal and the sample from it differ from x
by an amount that falls in proportion to the length of the steps.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np

from mugv_jax.axes import Array, Bool, Latent
from mugv_jax.flow.denoiser import Denoiser
from mugv_jax.flow.guidance import Guidance
from mugv_jax.flow.sampler import sample


def check_level(level: int, steps: int) -> None:
    """Raise a ValueError for a level that a sample of `steps` steps does not have."""
    if not 1 <= level <= steps:
        raise ValueError(
            f"level={level} must lie in 1 to {steps}, the number of steps of a whole sample."
        )


def reversal_times(times: np.ndarray, level: int) -> np.ndarray:
    """The last `level` + 1 of a sample's decreasing times, in increasing order.

    level: number of steps that are reversed, and then sampled again; all of them lead to noise.

    Raises:
        ValueError: fewer than one step, or more than the sample has.
    """
    steps = len(times) - 1
    check_level(level, steps)
    return times[steps - level :][::-1].copy()


def reverse(
    denoiser: Denoiser,
    variables: Any,
    x: Latent,
    *,
    times: np.ndarray,
    level: int,
    noisy: Bool[Array, "b f"],
    positive: Any,
    negative: Any = None,
    guidance: Guidance = Guidance(scale=1.0),  # noqa: B008 - constant
) -> Latent:
    """Latents at the time from which the last `level` steps of a sample lead back towards `x`.

        sample(..., reverse(..., x, times=times, level=s), times=times[-s - 1:]).x  ~  x

    A step of it is the compiled program of a step of `flow.sampler.sample`, in the other direction.

    times: all times of the sample, decreasing; `x` is clean where `noisy`, and stays as it is
        elsewhere.  Other arguments: see `flow.sampler.sample`.
    """
    return sample(
        denoiser,
        variables,
        jnp.copy(x),  # whose buffer is donated
        times=reversal_times(times, level),
        noisy=noisy,
        positive=positive,
        negative=negative,
        guidance=guidance,
    ).x
