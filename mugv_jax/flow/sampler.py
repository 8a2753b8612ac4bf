# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Sampling from noise to data, with given frames fixed.

x += v (t_i - t_{i+1})        Euler's method, or with fresh noise between steps
x = (1 - t_{i+1}) (x + t_i v) + t_{i+1} noise        (`flow/renoise.py`)
"""

import dataclasses
import functools
from collections.abc import Callable
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
from mugv_jax.flow.renoise import NoiseKeys, check_renoise, renoised
from mugv_jax.flow.reuse import Forecast
from mugv_jax.progress import over


@dataclasses.dataclass(frozen=True)
class Sample:
    """Latents at the last time, and the number of evaluations that they took.

    evaluations: forward passes of the network for each sample of the batch.
    possible: their number with guidance in every step and no step left out.
    stopped: whether an observer ended it early; `x` is then the estimate at that time.
    """

    x: Latent
    evaluations: int
    possible: int
    stopped: bool = False


class StopSampling(Exception):
    """Raised by an observer of `sample` to end it after the present step."""


@dataclasses.dataclass(frozen=True)
class StepEnd:
    """What an observer of `sample` sees after each step.

    index: number of the step, from 0.  steps: number of all steps.
    t, t_next: times in [0, 1] at which the step began and ended.
    x: latents at `t_next`, a copy that stays valid.
    estimate: latents at time 0 if the velocity stayed as it was in this step; they are only read.
    """

    index: int
    steps: int
    t: float
    t_next: float
    x: Latent
    estimate: Callable[[], Latent]


Observer = Callable[[StepEnd], Latent | None]


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
    renoise: NoiseKeys | None = None,
    reuse_threshold: float = 0.0,
    progress: str | None = None,
    on_step: Observer | None = None,
) -> Sample:
    """Integrates `x` from times[0] down to times[-1]; the buffer of `x` is donated.

    times: decreasing, in [0, 1]; `x` is at times[0] where `noisy`, and clean elsewhere.
    positive, negative: conditions; `negative` None means no guidance.
    renoise: keys of the fresh noise of every row between steps; None takes Euler's method.
    reuse_threshold: limit of (2) in `flow/reuse.py`, below which steps are not evaluated,
        except the first and the last; 0 evaluates every step.
    progress: label of the progress bar, or None for no bar.
    on_step: is called after every step; latents that it returns replace those of the step.

    One program is compiled with guidance and one without, as needed.

    Raises:
        ValueError: fresh noise together with a reuse threshold.
    """
    check_renoise(renoise is not None, reuse_threshold)
    options = {"static_argnums": 0, "static_argnames": "guidance", "donate_argnums": 2}
    step, renoising = jax.jit(euler_step, **options), jax.jit(renoising_step, **options)
    forecast = Forecast(denoiser, reuse_threshold) if reuse_threshold else None
    steps, evaluations, stopped = len(times) - 1, 0, False
    for i in over(range(steps), progress or "", unit="step", shown=progress is not None):
        t, t_next = float(times[i]), jnp.float32(times[i + 1])
        guided = negative is not None and guidance.is_on(i, t)
        if (
            forecast is not None
            and forecast.holds(variables, x, t, noisy, positive, guided=guided)
            and i < steps - 1
        ):
            v = forecast.velocity(t)
            x = moved(x, v, jnp.float32(t), t_next, noisy)
            estimate = _estimate(x, v, t_next, noisy)
        else:
            against = negative if guided else None
            inputs = (denoiser, variables, x, jnp.float32(t), t_next, noisy, positive, against)
            evaluations += 2 if guided else 1
            if renoise is None:
                x, v = step(*inputs, guidance=guidance)
                estimate = _estimate(x, v, t_next, noisy)
                if forecast is not None:
                    forecast.record(v, t, guided=guided)
            else:
                x, x_0 = renoising(*inputs, renoise, jnp.int32(i + 1), guidance=guidance)
                estimate = functools.partial(jnp.asarray, x_0)
        # Waiting keeps the progress bar correct and lets an interrupt end the run between steps.
        x.block_until_ready()
        if on_step is not None:
            x, stopped = _observed(on_step, x, estimate, index=i, times=times)
            if stopped:
                break
    full = 1 if negative is None or guidance.scale == 1 else 2
    return Sample(x, evaluations=evaluations, possible=full * steps, stopped=stopped)


def _estimate(x: Latent, v: Latent, t: Array, noisy: Bool[Array, "b f"]) -> Callable[[], Latent]:
    """Function that returns the latents at time 0, from those at `t` and a velocity."""
    return functools.partial(moved, x, v, t, jnp.float32(0), noisy)


def _observed(
    on_step: Observer,
    x: Latent,
    estimate: Callable[[], Latent],
    *,
    index: int,
    times: np.ndarray,
) -> tuple[Latent, bool]:
    """Latents after an observer has seen a step, and whether it ended the sampling.

    Raises:
        ValueError: the observer returns latents of another shape.
    """
    t, t_next = float(times[index]), float(times[index + 1])
    end = StepEnd(index, len(times) - 1, t, t_next, jnp.copy(x), estimate)
    try:
        changed = on_step(end)
    except StopSampling:
        return estimate(), True
    if changed is None or changed is end.x:
        return x, False
    if jnp.shape(changed) != x.shape:
        raise ValueError(
            f"the callback returned latents of shape {jnp.shape(changed)}, not {x.shape}."
        )
    return jax.device_put(jnp.asarray(changed, x.dtype), x.sharding), False


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


def renoising_step(
    denoiser: Denoiser,
    variables: Any,
    x: Latent,
    t: ArrayLike,
    t_next: ArrayLike,
    noisy: Bool[Array, "b f"],
    positive: Any,
    negative: Any,
    keys: NoiseKeys,
    number: ArrayLike,
    *,
    guidance: Guidance,
) -> tuple[Latent, Latent]:
    """Latents at `t_next` by fresh noise, and the estimate of those at time 0.

    keys, number: see `step_noise` of `flow/renoise.py`.
    """
    v = guided_velocity(denoiser, variables, x, t, noisy, positive, negative, guidance=guidance)
    x_0 = moved(x, v, t, jnp.float32(0), noisy)
    return renoised(x_0, t_next, noisy, keys, number), x_0


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
    """Velocity at time `t`, guided unless `negative` is None; given frames have time 0.

    t: one time, or one of each row.
    """
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
