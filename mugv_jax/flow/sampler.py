# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Euler integration from noise to data: x += v (t_i - t_{i+1}), given frames held fixed."""

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
from mugv_jax.flow.path import frame_times

MODEL_TIME = 1000.0  # the published networks count time in thousandths

# (variables, x, t in [0, 1000] per frame, condition) -> velocity
Velocity = Callable[[Any, Array, Array, Any], Array]


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
    progress: str | None = None,
) -> Float[Array, "b f h w c"]:
    """Integrates `x` from times[0] down to times[-1]; the buffer of `x` is donated.

    velocity: a pure function; it is compiled once with and once without guidance, as needed.
    times: decreasing, in [0, 1]; `x` is at times[0], where `noisy`, and clean elsewhere.
    positive, negative: conditions as trees of arrays with a leading batch axis.
    progress: label of the progress bar, or None for no bar.
    """
    step = jax.jit(euler_step, static_argnums=0, static_argnames="guidance", donate_argnums=2)
    bar = tqdm.trange(len(times) - 1, desc=progress, unit="step", disable=progress is None)
    for i in bar:
        guided = negative is not None and guidance.is_on(i, float(times[i]))
        x = step(
            velocity,
            variables,
            x,
            jnp.float32(times[i]),
            jnp.float32(times[i + 1]),
            noisy,
            positive,
            negative if guided else None,
            guidance=guidance,
        )
        # Waiting keeps the bar honest and lets an interrupt end the run between two steps.
        x.block_until_ready()
    return x


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
) -> Float[Array, "b f h w c"]:
    """One step; `negative` None means no guidance."""
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
    moved = x + v.astype(x.dtype) * (t - t_next)
    return jnp.where(einops.rearrange(noisy, "b f -> b f 1 1 1"), moved, x)
