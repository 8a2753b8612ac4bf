# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mugv_jax.train.vae import loss
from mugv_jax.train.vae.loss import VaeLossConfig

ROUNDING = 1e-6


def video(seed=0, frames=4, side=6):
    return jnp.asarray(
        np.random.default_rng(seed).uniform(-1, 1, (2, frames, side, side, 3)), jnp.float32
    )


def test_laplacian_of_a_quadratic_is_its_curvature():
    row, column = np.meshgrid(np.arange(5), np.arange(5), indexing="ij")
    picture = np.broadcast_to((row**2 + 3 * column)[None, None, :, :, None], (1, 1, 5, 5, 3))
    found = loss.laplacian(jnp.asarray(picture, jnp.float32))
    np.testing.assert_allclose(found[:, :, 1:-1, 1:-1], 2.0)


def test_saliency_is_where_an_edge_appears():
    x = np.zeros((1, 3, 5, 5, 3), np.float32)
    x[0, 1:, 2, 2] = 1.0
    r = np.asarray(loss.saliency(jnp.asarray(x)))[0, ..., 0]
    assert r[0, 2, 2] == 4
    assert r[0, 2, 1] == r[0, 1, 2] == 1
    assert r[0].sum() == 8
    assert not r[1].any(), "nothing changes from the second frame on"
    np.testing.assert_array_equal(r[2], r[1])


def test_adaptive_weights_have_mean_one_and_leave_still_videos_alone():
    w = np.asarray(loss.adaptive_weight(video(), 3.0))
    np.testing.assert_allclose(w.mean(axis=(1, 2, 3, 4)), 1, rtol=ROUNDING)
    assert w.min() > 0
    assert w.max() > 1.5
    still = jnp.broadcast_to(video(frames=1), (2, 4, 6, 6, 3))
    for x in (still, video(frames=1)):
        np.testing.assert_array_equal(loss.adaptive_weight(x, 3.0), 1)
        plain = loss.weighted_l1(x, -x)
        assert loss.weighted_l1(x, -x, loss.adaptive_weight(x, 3.0)) == pytest.approx(plain)


def test_adaptive_weights_pass_no_gradient():
    grad = jax.grad(lambda x: jnp.sum(loss.adaptive_weight(x, 1.0)))(video())
    assert not np.any(grad)


def test_divergence_of_normals():
    zero = jnp.zeros((1, 1, 2, 2, 3))
    assert loss.kl_divergence(zero, zero) == 0
    assert loss.kl_divergence(zero + 2, zero) == pytest.approx(2.0)
    assert loss.kl_divergence(zero, zero + np.log(4.0)) == pytest.approx(0.5 * (3 - np.log(4)))


def test_hinge_stops_at_its_margin():
    real, fake = jnp.asarray([2.0, 0.5]), jnp.asarray([-3.0, 0.0])
    assert loss.critic_loss(real, fake) == pytest.approx(0.5 * (0.25 + 0.5))
    assert loss.generator_loss(fake) == pytest.approx(1.5)
    grad = jax.grad(loss.critic_loss, argnums=(0, 1))(real, fake)
    np.testing.assert_allclose(grad[0], [0, -0.25])
    np.testing.assert_allclose(grad[1], [0, 0.25])


def test_balance_makes_gradients_equally_long():
    a, b = jnp.full((2, 3), 5.0), jnp.full((2, 3), 0.25)
    assert loss.balance(a, b) == pytest.approx(20, rel=1e-3)
    assert loss.balance(a, jnp.zeros_like(b)) == loss.MOST_BALANCE


def test_mean_square_and_l1():
    x, y = jnp.zeros((1, 1, 1, 1, 3)), jnp.asarray([1.0, -2.0, 3.0]).reshape(1, 1, 1, 1, 3)
    assert loss.mean_square(x, y) == pytest.approx(14 / 3)
    assert loss.weighted_l1(x, y) == pytest.approx(2)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"kl": -1.0}, "kl=-1.0 must be at least 0"),
        ({"mse": 0.0, "l1": 0.0}, "no reconstruction loss"),
    ],
)
def test_weights_are_checked(fields, says):
    with pytest.raises(ValueError, match=says):
        VaeLossConfig(**fields)
