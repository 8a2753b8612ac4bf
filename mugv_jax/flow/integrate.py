# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Sampling as a pure function that differentiates the network in chosen steps only.

    x_(k+1) = x_k + v(theta, stop(x_k)) (t_k - t_(k+1))                                          (1)
    d x_N / d theta = sum over chosen k of  dv(theta, x_k) / d theta  (t_k - t_(k+1))            (2)

The input of every step is stopped, so (2) is the whole gradient: no product of Jacobians along the
path. All steps run first, without a gradient, and keep the inputs of the chosen ones, which are
then evaluated again one by one, with rematerialisation. Memory grows with the number of chosen
steps by one latent each, and does not depend on the number of all steps. ContentV's training
with rewards does the same (arXiv:2506.05343, section 6).

With fresh noise between steps (`flow/renoise.py`) a step scales what came before by 1 - t_(k+1), so
the factor of step k in (2) is t_k times the product of 1 - t_(j+1) over j >= k.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mugv_jax.axes import Array, Bool, Float, Int, Latent
from mugv_jax.flow.denoiser import Denoiser
from mugv_jax.flow.guidance import Guidance
from mugv_jax.flow.renoise import NoiseKeys, renoised
from mugv_jax.flow.sampler import guided_velocity, moved


class Integrated(NamedTuple):
    """Result of `integrate_chosen`: latents at the last time, and velocities of chosen steps.

    velocity, reference: velocities of the policy and of the reference at the inputs of the chosen
        steps; only that of the policy has a gradient. `reference` is None without one.
    """

    x: Latent
    velocity: Float[Array, "k b f h w c"]
    reference: Float[Array, "k b f h w c"] | None


def integrate(
    denoiser: Denoiser,
    variables: Any,
    x: Latent,
    *,
    chosen: Int[Array, "k"] | None = None,
    **options: Any,
) -> Latent:
    """Latents at times[-1], by the steps of `flow.sampler.sample` inside one program.

    chosen: distinct numbers (from 0) of the steps that have a gradient; None for no step.
    options: those of `integrate_chosen`.
    """
    numbers = jnp.zeros((0,), jnp.int32) if chosen is None else chosen
    return integrate_chosen(denoiser, variables, x, chosen=numbers, **options).x


def integrate_chosen(
    denoiser: Denoiser,
    variables: Any,
    x: Latent,
    *,
    times: np.ndarray,
    noisy: Bool[Array, "b f"],
    positive: Any,
    chosen: Int[Array, "k"],
    negative: Any = None,
    guidance: Guidance = Guidance(scale=1.0),  # noqa: B008 - constant
    reference: Any = None,
    renoise: NoiseKeys | None = None,
) -> Integrated:
    """Latents at times[-1] with the gradient (2), and the velocities of the chosen steps.

    times: decreasing, in [0, 1], constants of the program; `x` is at times[0] where `noisy`.
    chosen: distinct numbers (from 0) of the steps that have a gradient.
    reference: variables of a network whose velocities are computed at the same inputs.
    renoise: keys of the fresh noise of every row between steps; None takes Euler's method.
    """
    steps = len(times) - 1
    factors = jnp.asarray(_factors(times, renoise=renoise is not None), jnp.float32)
    guided = jnp.asarray(
        [negative is not None and guidance.is_on(i, float(times[i])) for i in range(steps)]
    )
    schedule = jnp.asarray(times[:-1], jnp.float32), jnp.asarray(times[1:], jnp.float32)
    velocity = functools.partial(_velocity, denoiser, guidance=guidance, noisy=noisy)
    fixed = jax.lax.stop_gradient((variables, positive, negative))

    def step(carry: tuple[Array, Array], k: Array) -> tuple[tuple[Array, Array], None]:
        x, kept = carry
        at = jax.lax.stop_gradient(x)
        is_chosen = (chosen == k).reshape(-1, *[1] * x.ndim)
        kept = jnp.where(is_chosen, at[None], kept)
        v = velocity(fixed, at, schedule[0][k], guided[k])
        x = _next(x, v, schedule[0][k], schedule[1][k], noisy, renoise, k)
        return (x, kept), None

    kept = jnp.zeros((len(chosen), *x.shape), x.dtype)
    (x, kept), _ = jax.lax.scan(step, (x, kept), jnp.arange(steps))

    @functools.partial(jax.checkpoint, prevent_cse=False)
    def again(change: Array, at: tuple[Array, Array]) -> tuple[Array, tuple[Array, Any]]:
        k, kept_x = at
        v = velocity((variables, positive, negative), kept_x, schedule[0][k], guided[k])
        only_gradient = v - jax.lax.stop_gradient(v)
        change = moved(change, only_gradient, factors[k], jnp.float32(0), noisy)
        if reference is None:
            return change, (v, None)
        others = jax.lax.stop_gradient((reference, positive, negative))
        return change, (v, velocity(others, kept_x, schedule[0][k], guided[k]))

    change, (v, v_reference) = jax.lax.scan(again, jnp.zeros_like(x), (chosen, kept))
    # `change` is 0, and has the gradient (2).
    return Integrated(x + change, v, v_reference)


def step_inputs(
    denoiser: Denoiser,
    variables: Any,
    x: Latent,
    *,
    times: np.ndarray,
    numbers: Int[Array, "b"],
    noisy: Bool[Array, "b f"],
    positive: Any,
    renoise: NoiseKeys | None = None,
) -> Latent:
    """Input of step numbers[row] (from 0) of every row, without guidance and without a gradient.

    All steps but the last are evaluated for all rows, and a row stops at its own.
    """
    schedule = jnp.asarray(times[:-1], jnp.float32), jnp.asarray(times[1:], jnp.float32)
    variables, positive = jax.lax.stop_gradient((variables, positive))

    def step(x: Array, k: Array) -> tuple[Array, None]:
        t, t_next = schedule[0][k], schedule[1][k]
        v = guided_velocity(
            denoiser, variables, x, t, noisy, positive, None, guidance=Guidance(scale=1.0)
        )
        after = _next(x, v, t, t_next, noisy, renoise, k)
        return jnp.where((k < numbers).reshape(-1, *[1] * (x.ndim - 1)), after, x), None

    return jax.lax.scan(step, jax.lax.stop_gradient(x), jnp.arange(len(times) - 2))[0]


def _next(
    x: Latent,
    v: Latent,
    t: Float[Array, ""],
    t_next: Float[Array, ""],
    noisy: Bool[Array, "b f"],
    renoise: NoiseKeys | None,
    k: Int[Array, ""],
) -> Latent:
    """Latents after step `k` (from 0)."""
    if renoise is None:
        return moved(x, v, t, t_next, noisy)
    return renoised(moved(x, v, t, jnp.float32(0), noisy), t_next, noisy, renoise, k + 1)


def _factors(times: np.ndarray, *, renoise: bool) -> np.ndarray:
    """Factor of the velocity of every step in the latents at times[-1]."""
    times = np.asarray(times, np.float64)
    if not renoise:
        return times[:-1] - times[1:]
    return times[:-1] * np.cumprod(1 - times[:0:-1])[::-1]


def _velocity(
    denoiser: Denoiser,
    inputs: tuple[Any, Any, Any],
    x: Latent,
    t: Float[Array, ""],
    guided: Bool[Array, ""],
    *,
    guidance: Guidance,
    noisy: Bool[Array, "b f"],
) -> Latent:
    """Velocity of one step, with guidance where `guided`.

    inputs: variables, positive and negative condition.
    """
    variables, positive, negative = inputs
    evaluate = functools.partial(
        guided_velocity, denoiser, variables, x, t, noisy, positive, guidance=guidance
    )
    if negative is None:
        return evaluate(None)
    return jax.lax.cond(guided, lambda: evaluate(negative), lambda: evaluate(None))
