# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Reversal on a linear field, v(x, t) = a x, whose exact flow is x(t) = x(0) exp(-a t)."""

import jax.numpy as jnp
import numpy as np
import pytest

from mugv_jax.flow.guidance import Guidance
from mugv_jax.flow.reversal import reversal_times, reverse
from mugv_jax.flow.sampler import sample
from mugv_jax.flow.schedule import sample_times
from tests.flow.denoisers import denoiser

RATE = 1.5
X = jnp.asarray(np.random.default_rng(0).standard_normal((2, 3, 2, 2, 4)), jnp.float32)
NOISY = jnp.ones((2, 3), bool).at[1, 0].set(False)  # one given frame
FIELD = denoiser(lambda rate, x, _t, _condition: rate * x)


def error(found, expected):
    difference = jnp.where(NOISY[..., None, None, None], found - expected, 0)
    return float(jnp.linalg.norm(difference) / jnp.linalg.norm(expected))


def test_reversal_follows_the_exact_flow_and_sampling_leads_back():
    errors = []
    for steps in (8, 16, 32):
        times, level = sample_times(steps, ratio=2.0), steps // 2
        shared = {"noisy": NOISY, "positive": None, "guidance": Guidance(scale=1.0)}
        up = reverse(FIELD, jnp.float32(RATE), X, times=times, level=level, **shared)
        again = {"times": times[-level - 1 :], **shared}
        back = sample(FIELD, jnp.float32(RATE), jnp.copy(up), **again).x
        np.testing.assert_array_equal(up[1, 0], X[1, 0])
        errors.append((error(up, X * np.exp(-RATE * times[-level - 1])), error(back, X)))
    exact, returned = np.asarray(errors).T
    np.testing.assert_allclose(exact[:-1] / exact[1:], 2, rtol=0.15)  # of first order
    np.testing.assert_allclose(returned[:-1] / returned[1:], 2, rtol=0.15)
    assert returned[-1] < 0.1


def test_levels_that_a_sample_does_not_have_are_refused():
    times = sample_times(4, ratio=1.0)
    np.testing.assert_array_equal(reversal_times(times, 2), times[[4, 3, 2]])
    for level in (0, 5):
        with pytest.raises(ValueError, match=f"level={level} must lie in 1 to 4"):
            reversal_times(times, level)
