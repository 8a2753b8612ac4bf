# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import jax
import jax.numpy as jnp
import numpy as np

from mugv_jax.train.loss import velocity_loss


def test_loss_counts_noisy_frames_only_and_survives_a_sample_without_any():
    v, target = jax.random.normal(jax.random.key(0), (2, 2, 3, 2, 2, 4))
    noisy = jnp.array([[False, True, False], [False, False, False]])
    loss = velocity_loss(v, target, noisy)
    np.testing.assert_allclose(loss[0], np.mean(np.square(v[0, 1] - target[0, 1])), rtol=1e-5)
    assert loss[1] == 0
    gradient = jax.grad(lambda v: velocity_loss(v, target, noisy)[0])(v)
    assert np.all(gradient[0, ::2] == 0)
    assert np.all(gradient[0, 1] != 0)
