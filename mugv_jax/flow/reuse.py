# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Steps without an evaluation: velocities extrapolated while the model's input hardly changes.

Such a step continues the line through the last two evaluated velocities, at t_k and t_(k-1),

    v(t) = v_k + (v_k - v_(k-1)) (t - t_k) / (t_k - t_(k-1)),                                    (1)

as long as the input u of the network's first block has changed by less than a threshold since t_k:

    sum_(i > k) |u_i - u_(i-1)|_1 / |u_(i-1)|_1 < threshold.                                     (2)

(2) is the rule of TeaCache (arXiv:2411.19108) without its fitted polynomial. TeaCache reuses the
residual of all blocks; (1) continues the velocity after guidance, which is as exact and takes two
arrays of a latent's size instead of two of all tokens for each prompt (docs/generation.md).
"""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp

from mugv_jax.axes import Array, Bool, Float, Latent
from mugv_jax.flow.denoiser import Denoiser
from mugv_jax.flow.path import frame_times


def check_threshold(threshold: float) -> None:
    """Raise a ValueError for a threshold of (2) that is not a number from 0 up."""
    if not 0 <= threshold < math.inf:
        raise ValueError(
            f"reuse threshold={threshold} must be a number from 0 up; 0 evaluates every step."
        )


class Forecast:
    """Last two velocities of a batch, and the change of u since the last of them.

    The samples of a batch share the decision: the one that changes most determines it.
    """

    def __init__(self, denoiser: Denoiser, threshold: float):
        check_threshold(threshold)
        self._denoiser, self._threshold = denoiser, threshold
        self._u: Array | None = None
        self._changed = math.inf  # nothing is known before the first evaluation
        self._known: list[tuple[float, Array]] = []  # (t_k, v_k), newest last
        self._guided = False

    def holds(
        self,
        variables: Any,
        x: Latent,
        t: float,
        noisy: Bool[Array, "b f"],
        condition: Any,
        *,
        guided: bool,
    ) -> bool:
        """Whether (1) may replace the evaluation at `x` and t in [0, 1]; called in every step.

        False if guidance was switched on or off since the last evaluation, because the velocity
        jumps there.
        """
        u = _first_input(self._denoiser, variables, x, jnp.float32(t), noisy, condition)
        if self._u is not None:
            self._changed += float(_change(u, self._u))
        self._u = u
        return guided == self._guided and self._changed < self._threshold

    def record(self, v: Latent, t: float, *, guided: bool) -> None:
        """Keeps `v`, evaluated at time t."""
        kept = self._known[-1:] if guided == self._guided else []
        self._known, self._guided, self._changed = [*kept, (t, v)], guided, 0.0

    def velocity(self, t: float) -> Latent:
        """Velocity of (1) at time t; constant if only one velocity is known."""
        (t_before, before), (t_known, known) = self._known[0], self._known[-1]
        if t_known == t_before:
            return known
        return _continued(before, known, jnp.float32((t - t_known) / (t_known - t_before)))


@functools.partial(jax.jit, static_argnums=0)
def _first_input(
    denoiser: Denoiser, variables: Any, x: Array, t: Array, noisy: Array, condition: Any
) -> Float[Array, "b n d"]:
    times = frame_times(jnp.broadcast_to(t, x.shape[:1]), noisy)
    return denoiser.first_input(variables, x, times, condition)


@jax.jit
def _change(u: Float[Array, "b n d"], before: Float[Array, "b n d"]) -> Float[Array, ""]:
    """Largest relative change among the samples."""
    size = jnp.sum(jnp.abs(before), axis=(1, 2))
    return jnp.max(jnp.sum(jnp.abs(u - before), axis=(1, 2)) / size)


@jax.jit
def _continued(before: Array, known: Array, fraction: Array) -> Array:
    return known + (fraction * (known - before)).astype(known.dtype)
