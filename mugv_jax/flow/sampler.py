# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Euler integration from noise to data: x += v (t_i - t_{i+1}), given frames held fixed."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import einops
import jax
import jax.numpy as jnp
import numpy as np
import tqdm
from jax.typing import ArrayLike

from mugv_jax.axes import Array, Bool, Float
from mugv_jax.flow.guidance import Guidance, guide
from mugv_jax.flow.path import MODEL_TIME, frame_times
from mugv_jax.flow.reuse import Forecast, Reuse

# (variables, x, t in [0, 1000] per frame, condition) -> velocity
Velocity = Callable[[Any, Array, Array, Any], Array]


@dataclasses.dataclass(frozen=True)
class Sample:
    """x: at the last time.  evaluations: forwards of the network for each sample of the batch, of
    `possible` ones with guidance in every step and no step left out."""

    x: Float[Array, "b f h w c"]
    evaluations: int
    possible: int


def sample(
    velocity: Velocity,
    variables: Any,
    x: Float[Array, "b f h w c"],
    *,
    times: np.ndarray,
    noisy: Bool[Array, "b f"],
    positive: Any,
    negative: Any = None,
    guidance: Guidance,
    reuse: Reuse | None = None,
    progress: str | None = None,
) -> Sample:
    """Integrates `x` from times[0] down to times[-1]; the buffer of `x` is donated.

    velocity: a pure function; it is compiled once with and once without guidance, as needed.
    times: decreasing, in [0, 1]; `x` is at times[0], where `noisy`, and clean elsewhere.
    positive, negative: conditions as trees of arrays with a leading batch axis.
    reuse: leaves evaluations out where the velocity can be told (`flow/reuse.py`), but never the
        first or the last.
    progress: label of the progress bar, or None for no bar.
    """
    step = jax.jit(euler_step, static_argnums=0, static_argnames="guidance", donate_argnums=2)
    forecast = Forecast(reuse) if reuse is not None and reuse.threshold else None
    steps, evaluations = len(times) - 1, 0
    bar = tqdm.trange(steps, desc=progress, unit="step", disable=progress is None)
    for i in bar:
        t, t_next = float(times[i]), jnp.float32(times[i + 1])
        guided = negative is not None and guidance.is_on(i, t)
        if (
            forecast is not None
            and forecast.holds(variables, x, t, noisy, positive, guided=guided)
            and i < steps - 1
        ):
            x = _moved(x, forecast.velocity(t), jnp.float32(t), t_next, noisy)
        else:
            against = negative if guided else None
            x, v = step(
                velocity,
                variables,
                x,
                jnp.float32(t),
                t_next,
                noisy,
                positive,
                against,
                guidance=guidance,
            )
            evaluations += 2 if guided else 1
            if forecast is not None:
                forecast.record(v, t, guided=guided)
        # Waiting keeps the bar honest and lets an interrupt end the run between two steps.
        x.block_until_ready()
    full = 1 if negative is None or guidance.scale == 1 else 2
    return Sample(x, evaluations=evaluations, possible=full * steps)


def euler_step(
    velocity: Velocity,
    variables: Any,
    x: Float[Array, "b f h w c"],
    t: ArrayLike,
    t_next: ArrayLike,
    noisy: Bool[Array, "b f"],
    positive: Any,
    negative: Any,
    *,
    guidance: Guidance,
) -> tuple[Float[Array, "b f h w c"], Float[Array, "b f h w c"]]:
    """One step and the velocity that it took; `negative` None means no guidance."""
    batch = x.shape[0]
    model_time = frame_times(jnp.broadcast_to(jnp.float32(MODEL_TIME) * t, (batch,)), noisy)
    if negative is None:
        v = velocity(variables, x, model_time, positive)
    elif guidance.together:
        both = functools.partial(jax.tree.map, lambda a, b: jnp.concatenate([a, b]))
        v = velocity(variables, both(x, x), both(model_time, model_time), both(positive, negative))
        v = guide(v[:batch], v[batch:], guidance)
    else:
        v = guide(
            velocity(variables, x, model_time, positive),
            velocity(variables, x, model_time, negative),
            guidance,
        )
    return _moved(x, v, t, t_next, noisy), v


@jax.jit
def _moved(x: Array, v: Array, t: ArrayLike, t_next: ArrayLike, noisy: Array) -> Array:
    """x + v (t - t_next); given frames stay."""
    moved = x + v.astype(x.dtype) * (t - t_next)
    return jnp.where(einops.rearrange(noisy, "b f -> b f 1 1 1"), moved, x)
