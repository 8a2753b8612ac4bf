# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Muon: kernels take orthogonal steps of Adam's size, all else takes Adam's steps."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mugv_jax.train.muon import SIZE, scale_by_muon
from mugv_jax.train.optimizer import OptimizerConfig, make_optimizer

SHAPES = {
    "conv": {"kernel": (3, 3, 4, 6), "bias": (6,)},
    "head": {"q": {"kernel": (12, 2, 5)}, "out": {"kernel": (2, 5, 12)}},
    "blocks": {"mlp": {"kernel": (3, 8, 5), "bias": (3, 5)}, "table": (3, 2, 8)},
}
# (in, out) of every kernel: what is summed over, and what comes of it.
MATRICES = {"conv/kernel": (36, 6), "head/q/kernel": (12, 10), "head/out/kernel": (10, 12)}


def is_shape(leaf):
    return isinstance(leaf, tuple)


@pytest.fixture(scope="module")
def grads():
    rng = np.random.default_rng(0)
    return jax.tree.map(
        lambda shape: jnp.asarray(rng.normal(size=shape), jnp.float32), SHAPES, is_leaf=is_shape
    )


@pytest.fixture(scope="module")
def directions(grads):
    muon = scale_by_muon(optax.scale_by_adam())
    with jax.numpy_dtype_promotion("standard"):
        return muon.update(grads, muon.init(grads))[0]


def at(tree, path):
    for name in path.split("/"):
        tree = tree[name]
    return np.asarray(tree)


def singular_values(matrix):
    """Singular values relative to those of an orthogonal direction."""
    return np.linalg.svd(matrix, compute_uv=False) / (SIZE * np.sqrt(max(matrix.shape)))


@pytest.mark.parametrize("path", MATRICES)
def test_kernels_move_along_orthogonal_directions(directions, grads, path):
    moved = at(directions, path).reshape(MATRICES[path])
    values = singular_values(moved)
    assert values.min() > 0.6  # what five iterations reach
    assert values.max() < 1.3
    u, _, v = np.linalg.svd(at(grads, path).reshape(MATRICES[path]), full_matrices=False)
    cosine = np.sum(moved * (u @ v)) / np.linalg.norm(moved) / np.linalg.norm(u @ v)
    assert cosine > 0.97


def test_stacked_layers_are_matrices_of_their_own(directions):
    for layer in at(directions, "blocks/mlp/kernel"):
        values = singular_values(layer)
        assert values.min() > 0.6
        assert values.max() < 1.3


def test_everything_else_is_left_to_adam(directions, grads):
    adam = optax.scale_by_adam()
    with jax.numpy_dtype_promotion("standard"):
        expected, _ = adam.update(grads, adam.init(grads))
    for path in ("conv/bias", "blocks/mlp/bias", "blocks/table"):
        np.testing.assert_array_equal(at(directions, path), at(expected, path))


def test_a_linear_map_is_found():
    rng = np.random.default_rng(1)
    wanted = jnp.asarray(rng.normal(size=(16, 8)), jnp.float32)
    x = jnp.asarray(rng.normal(size=(64, 16)), jnp.float32)
    config = OptimizerConfig(method="muon", learning_rate=0.5, schedule="cosine", warmup_steps=1)
    optimizer, _ = make_optimizer(config, 100)

    @jax.jit
    def step(params, state):
        def loss(params):
            return jnp.mean(jnp.square(x @ (params["kernel"] - wanted)))

        value, grads = jax.value_and_grad(loss)(params)
        updates, state = optimizer.update(grads, state, params)
        return optax.apply_updates(params, updates), state, value

    params = {"kernel": jnp.zeros((16, 8))}
    state, losses = optimizer.init(params), []
    for _ in range(100):
        params, state, value = step(params, state)
        losses.append(float(value))
    assert losses[-1] < 1e-3 * losses[0], losses[::20]
