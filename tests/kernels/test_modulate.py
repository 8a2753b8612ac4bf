# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import jax
import jax.numpy as jnp
import numpy as np

from mugv_jax.kernels.modulate import Modulation


def test_every_token_gets_the_vectors_of_its_own_group():
    keys = jax.random.split(jax.random.key(0), 4)
    x = 3 + jax.random.normal(keys[0], (2, 7, 10))
    shift, scale, gate = (jax.random.normal(key, (2, 3, 10)) for key in keys[1:])
    group = jnp.array([0, 1, 1, 1, 1, 2, 2])
    modulation = Modulation("xla")
    y = modulation.norm_modulate(x, shift, scale, group)
    z = modulation.gate_residual(x, y, jnp.zeros(10), gate, group)
    for b in range(2):
        for n in range(7):
            token = np.asarray(x[b, n], np.float64)
            token = (token - token.mean()) / np.sqrt(token.var() + 1e-6)
            expected = token * (1 + scale[b, group[n]]) + shift[b, group[n]]
            np.testing.assert_allclose(y[b, n], expected, rtol=2e-5, atol=2e-5)
            np.testing.assert_allclose(
                z[b, n], x[b, n] + gate[b, group[n]] * y[b, n], rtol=1e-6, atol=1e-6
            )
