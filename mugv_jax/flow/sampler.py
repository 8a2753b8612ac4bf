# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Euler integration from noise to data, with given frames fixed: x += v (t_i - t_{i+1})."""

import dataclasses
import functools
from typing import Any

import einops
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from mugv_jax.axes import Array, Bool, Latent
from mugv_jax.flow.denoiser import Denoiser
from mugv_jax.flow.guidance import Guidance, guide
from mugv_jax.flow.path import frame_times
from mugv_jax.flow.reuse import Forecast
from mugv_jax.progress import over


@dataclasses.dataclass(frozen=True)
class Sample:
    """Latents at the last time, and the number of evaluations that they took.

    evaluations: forward passes of the network for each sample of the batch.
    possible: their number with guidance in every step and no step left out.
    """

    x: Latent
    evaluations: int
    possible: int


def sample(
    denoiser: Denoiser,
    variables: Any,
    x: Latent,
    *,
    times: np.ndarray,
    noisy: Bool[Array, "b f"],
    positive: Any,
    negative: Any = None,
    guidance: Guidance,
    reuse_threshold: float = 0.0,
    progress: str | None = None,
) -> Sample:
    """Integrates `x` from times[0] down to times[-1]; the buffer of `x` is donated.

    times: decreasing, in [0, 1]; `x` is at times[0] where `noisy`, and clean elsewhere.
    positive, negative: conditions; `negative` None means no guidance.
    reuse_threshold: limit of (2) in `flow/reuse.py`, below which steps are not evaluated,
        except the first and the last; 0 evaluates every step.
    progress: label of the progress bar, or None for no bar.

    One program is compiled with guidance and one without, as needed.
    """
    step = jax.jit(euler_step, static_argnums=0, static_argnames="guidance", donate_argnums=2)
    forecast = Forecast(denoiser, reuse_threshold) if reuse_threshold else None
    steps, evaluations = len(times) - 1, 0
    for i in over(range(steps), progress or "", unit="step", shown=progress is not None):
        t, t_next = float(times[i]), jnp.float32(times[i + 1])
        guided = negative is not None and guidance.is_on(i, t)
        if (
            forecast is not None
            and forecast.holds(variables, x, t, noisy, positive, guided=guided)
            and i < steps - 1
        ):
            x = moved(x, forecast.velocity(t), jnp.float32(t), t_next, noisy)
        else:
            against = negative if guided else None
            x, v = step(
                denoiser, variables, x, jnp.float32(t), t_next, noisy, positive, against,
                guidance=guidance,
            )  # fmt: skip
            evaluations += 2 if guided else 1
            if forecast is not None:
                forecast.record(v, t, guided=guided)
        # Waiting keeps the progress bar correct and lets an interrupt end the run between steps.
        x.block_until_ready()
    full = 1 if negative is None or guidance.scale == 1 else 2
    return Sample(x, evaluations=evaluations, possible=full * steps)


@functools.partial(jax.jit, static_argnums=0)
def read(denoiser: Denoiser, variables: Any, condition: Any) -> Any:
    """Result of `denoiser.read`, compiled as one program that runs before the steps of `sample`."""
    return denoiser.read(variables, condition)


def euler_step(
    denoiser: Denoiser,
    variables: Any,
    x: Latent,
    t: ArrayLike,
    t_next: ArrayLike,
    noisy: Bool[Array, "b f"],
    positive: Any,
    negative: Any,
    *,
    guidance: Guidance,
) -> tuple[Latent, Latent]:
    """Latents after one step from time `t` to `t_next`, and the velocity of `guided_velocity`."""
    v = guided_velocity(denoiser, variables, x, t, noisy, positive, negative, guidance=guidance)
    return moved(x, v, t, t_next, noisy), v


def guided_velocity(
    denoiser: Denoiser,
    variables: Any,
    x: Latent,
    t: ArrayLike,
    noisy: Bool[Array, "b f"],
    positive: Any,
    negative: Any,
    *,
    guidance: Guidance,
) -> Latent:
    """Velocity at time `t`, guided unless `negative` is None; given frames have time 0."""
    batch = x.shape[0]
    velocity = functools.partial(denoiser.velocity, variables)
    times = frame_times(jnp.broadcast_to(jnp.asarray(t, jnp.float32), (batch,)), noisy)
    if negative is None:
        return velocity(x, times, positive)
    if guidance.together:
        both = functools.partial(jax.tree.map, lambda a, b: jnp.concatenate([a, b]))
        v = velocity(both(x, x), both(times, times), both(positive, negative))
        return guide(v[:batch], v[batch:], guidance)
    return guide(velocity(x, times, positive), velocity(x, times, negative), guidance)


@jax.jit
def moved(
    x: Latent,
    v: Latent,
    t: ArrayLike,
    t_next: ArrayLike,
    noisy: Bool[Array, "b f"],
) -> Latent:
    """x + v (t - t_next) in noisy frames; given frames do not change."""
    distance = t - t_next  # pyright: ignore[reportOperatorIssue] - numbers, not bool
    step = x + v.astype(x.dtype) * distance
    return jnp.where(einops.rearrange(noisy, "b f -> b f 1 1 1"), step, x)
