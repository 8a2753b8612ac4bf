# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Sampling inside one program: the sampler's values, and the gradient of chosen steps."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mugv_jax.flow.guidance import Guidance
from mugv_jax.flow.integrate import integrate, step_inputs
from mugv_jax.flow.renoise import renoised, seed_keys
from mugv_jax.flow.sampler import guided_velocity, moved, sample
from mugv_jax.flow.schedule import sample_times
from tests.flow.denoisers import denoiser

SHAPE = (2, 3, 4, 4, 6)
INTERVAL = Guidance(scale=3.0, interval=(0.3, 0.8), rescale=0.3)


def mixed(variables, x, t, condition):
    """Small network of two layers over channels, with time and a condition between them."""
    hidden = jnp.tanh(jnp.einsum("bfhwc,cd->bfhwd", x, variables["up"]))
    hidden = hidden + t[..., None, None, None] + condition["target"]
    return jnp.einsum("bfhwd,dc->bfhwc", hidden, variables["down"])


def inputs(seed=0):
    keys = jax.random.split(jax.random.key(seed), 5)
    variables = {
        name: jax.random.normal(key, (6, 6)) / 3 for name, key in zip(("up", "down"), keys)
    }
    x, target, weight = (jax.random.normal(key, SHAPE) for key in keys[2:])
    noisy = jnp.array([[False, True, True], [True, True, False]])
    return variables, x, target, weight, noisy


def arguments(target, noisy, steps=7, guidance=INTERVAL):
    return {
        "times": sample_times(steps, 2.0),
        "noisy": noisy,
        "positive": {"target": target},
        "negative": {"target": -target},
        "guidance": guidance,
    }


RENOISE = pytest.mark.parametrize("renoise", [None, (3, 8)], ids=["euler", "renoise"])


@RENOISE
@pytest.mark.parametrize("guidance", [Guidance(scale=1.0), INTERVAL])
@pytest.mark.parametrize("chosen", [None, (0, 4)])
def test_values_are_those_of_the_host_loop(guidance, chosen, renoise):
    variables, x, target, _, noisy = inputs()
    shared = arguments(target, noisy, guidance=guidance) | keys_of(renoise)
    chosen = None if chosen is None else jnp.array(chosen)
    whole = jax.jit(functools.partial(integrate, denoiser(mixed), chosen=chosen, **shared))
    loop = sample(denoiser(mixed), variables, jnp.array(x), **shared).x
    np.testing.assert_allclose(whole(variables, x), loop, rtol=1e-5, atol=1e-5)


def keys_of(seeds):
    return {"renoise": None if seeds is None else seed_keys(seeds)}


def unrolled(variables, x, chosen, *, times, noisy, positive, negative, guidance, renoise):
    """The published recursion step by step, with all other gradients stopped."""
    for k, (t, t_next) in enumerate(itertools.pairwise(times)):
        against = negative if guidance.is_on(k, float(t)) else None
        v = guided_velocity(
            denoiser(mixed), variables, jax.lax.stop_gradient(x), t, noisy, positive, against,
            guidance=guidance,
        )  # fmt: skip
        v = v if k in chosen else jax.lax.stop_gradient(v)
        if renoise is None:
            x = moved(x, v, t, t_next, noisy)
        else:
            x = renoised(moved(x, v, t, 0.0, noisy), t_next, noisy, renoise, k + 1)
    return x


@RENOISE
@pytest.mark.parametrize("chosen", [(2,), (5, 0, 3), tuple(range(7)), ()])
def test_gradients_are_those_of_the_unrolled_recursion(chosen, renoise):
    variables, x, target, weight, noisy = inputs(1)
    shared = arguments(target, noisy) | keys_of(renoise)

    def ours(variables, x, numbers):
        return jnp.sum(weight * integrate(denoiser(mixed), variables, x, chosen=numbers, **shared))

    def reference(variables, x):
        return jnp.sum(weight * unrolled(variables, x, chosen, **shared))

    numbers = jnp.array(chosen, jnp.int32)  # traced: steps may be drawn at random
    found = jax.jit(jax.grad(ours, argnums=(0, 1)))(variables, x, numbers)
    wanted = jax.grad(reference, argnums=(0, 1))(variables, x)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        scale = max(1e-6, float(jnp.linalg.norm(other)))
        assert float(jnp.linalg.norm(one - other)) <= 1e-5 * scale


@RENOISE
def test_every_row_may_stop_at_a_step_of_its_own(renoise):
    variables, x, target, _, noisy = inputs()
    shared = {"noisy": noisy, "positive": {"target": target}} | keys_of(renoise)
    times = sample_times(3, 2.0)
    for first in range(3):
        numbers = jnp.array([first, 2])
        found = step_inputs(denoiser(mixed), variables, x, times=times, numbers=numbers, **shared)
        for row, number in enumerate(numbers.tolist()):
            before = x
            if number:
                options = shared | {"times": times[: number + 1], "guidance": Guidance(scale=1.0)}
                before = sample(denoiser(mixed), variables, jnp.array(x), **options).x
            np.testing.assert_allclose(found[row], before[row], rtol=1e-5, atol=1e-5)


def test_memory_grows_with_chosen_steps_and_not_with_all_steps():
    variables, x, target, weight, noisy = inputs(2)
    x = jnp.tile(x, (1, 1, 32, 32, 1))
    target, weight = (jnp.tile(each, (1, 1, 32, 32, 1)) for each in (target, weight))

    def temporaries(steps, chosen):
        shared = arguments(target, noisy, steps=steps, guidance=Guidance(scale=1.0))

        def loss(variables, x, numbers):
            return jnp.sum(
                weight * integrate(denoiser(mixed), variables, x, chosen=numbers, **shared)
            )

        numbers = jnp.arange(chosen)
        compiled = jax.jit(jax.grad(loss)).lower(variables, x, numbers).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    few, many, more = temporaries(6, 2), temporaries(48, 2), temporaries(48, 12)
    assert many <= 1.02 * few
    assert more - many >= 9 * x.nbytes
