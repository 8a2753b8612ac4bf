# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from mugv_jax.nn.lpips import Lpips
from mugv_jax.weights.lpips import load_lpips
from tests.weights.published_lpips import Published, save

SINGLE = 2e-4  # of float32, through thirteen convolutions and back
ROUNDING = 1e-8  # values are 0.1 and more
SIDES = 16, 24


@pytest.fixture(scope="module")
def published():
    return Published(seed=0)


@pytest.fixture(scope="module")
def ours(published, tmp_path_factory):
    """(x, y) -> (distances, gradient of their sum by y)."""
    file = tmp_path_factory.mktemp("weights") / "lpips.pt"
    save(published.state_dict(), file)
    variables = {"params": load_lpips(str(file))}
    module = Lpips(jnp.float32)

    def total(y, x, variables):
        distances = module.apply(variables, x, y)
        return jnp.sum(distances), distances

    measured = jax.jit(jax.value_and_grad(total, has_aux=True))

    def both(x, y):
        (_, distances), gradient = measured(y, x, variables)
        return np.asarray(distances), np.asarray(gradient)

    return both


@pytest.fixture(scope="module")
def pictures():
    rng = np.random.default_rng(0)
    return tuple(rng.uniform(-1, 1, (2, *SIDES, 3)).astype(np.float32) for _ in range(2))


def test_value_and_gradient_are_those_of_the_published_network(published, ours, pictures):
    x, y = (torch.from_numpy(each.transpose(0, 3, 1, 2).copy()) for each in pictures)
    y.requires_grad_()
    expected = published(x, y)
    expected.sum().backward()
    distances, gradient = ours(*pictures)
    assert distances.min() > 0.01
    np.testing.assert_allclose(distances, expected.detach().numpy(), rtol=SINGLE)
    expected = y.grad.numpy().transpose(0, 2, 3, 1)
    assert np.linalg.norm(gradient - expected) < SINGLE * np.linalg.norm(expected)


def test_equal_pictures_are_at_no_distance_and_stay_there(ours, pictures):
    x = pictures[0].copy()
    x[1] = -1  # a plain one
    distances, gradient = ours(x, x)
    np.testing.assert_allclose(distances, 0, atol=ROUNDING)
    np.testing.assert_allclose(gradient, 0, atol=ROUNDING)


def test_pictures_that_cannot_be_halved_so_often_are_refused():
    with pytest.raises(ValueError, match="pictures of 16x8 pixels: at least 16"):
        jax.eval_shape(Lpips(jnp.float32).init, jax.random.key(0), *[jnp.zeros((1, 8, 16, 3))] * 2)
