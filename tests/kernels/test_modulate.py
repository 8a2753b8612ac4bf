# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Modulation by XLA against float64, and code that all implementations share."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mugv_jax.kernels import modulate, modulate_xla
from mugv_jax.kernels.modulate import Modulation
from mugv_jax.kernels.modulate_tiles import group_sums, tile_table
from mugv_jax.nn.layers import unboxed
from mugv_jax.nn.mugdit.block import Block, Context
from mugv_jax.nn.mugdit.sizes import DiTConfig
from tests.kernels.float64 import (
    arguments,
    assert_equals_float64,
    gate_residual,
    gate_residual_norm_modulate,
    heads,
    norm_modulate,
    norm_rotate,
    with_gradients,
)

# (b, n, d, g), all odd: some groups are empty.
CASES = [((2, 37, 24, 16), jnp.float32), ((1, 41, 297, 4), jnp.bfloat16)]
OPERATIONS = {
    norm_modulate: "x shift scale group",
    gate_residual: "x update bias gate group",
    gate_residual_norm_modulate: "x update bias gate shift scale group",
}


@pytest.mark.parametrize(("size", "dtype"), CASES)
@pytest.mark.parametrize("reference", OPERATIONS)
def test_modulation_equals_float64(reference, size, dtype):
    operation = getattr(Modulation("xla"), reference.__name__)
    given = arguments(OPERATIONS[reference], size, dtype)
    assert_equals_float64(operation, reference, given, dtype)


def test_normalised_and_rotated_heads_equal_float64():
    operation, given = Modulation("xla").norm_rotate, heads((2, 7, 3, 72), jnp.float32)
    assert_equals_float64(operation, norm_rotate, given, jnp.float32, skip=("cos", "sin"))


@pytest.mark.parametrize("reference", OPERATIONS)
def test_derivatives_by_hand_are_those_of_the_reference(reference):
    given = arguments(OPERATIONS[reference], (2, 9, 24, 3), jnp.float32)
    by_hand = getattr(Modulation("xla"), reference.__name__)

    def itself(**given):
        arrays = tuple(given[name] for name in OPERATIONS[reference].split())
        parts = modulate._parts(reference.__name__, arrays)
        outputs, _ = modulate_xla.over_groups(reference.__name__, *parts)
        return tuple(outputs) if len(outputs) > 1 else outputs[0]

    weights = itself(**given)
    pairs = (with_gradients(operation, given, weights) for operation in (by_hand, itself))
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-4), *pairs)


def test_tiles_hold_every_token_once_and_one_group_each():
    group = np.sort(np.random.default_rng(0).integers(0, 6, 50))
    group[group == 3] = 4  # a group without tokens
    table = np.asarray(tile_table(jnp.asarray(group), 6, 4))
    held = [(token, of) for of, start, end in table.T for token in range(start, end)]
    assert held == list(enumerate(group))
    assert max(table[2] - table[1]) == 4
    ones = jnp.asarray(table[2] - table[1], jnp.float32)[None, :, None]
    np.testing.assert_array_equal(
        group_sums(ones, jnp.asarray(table), 6)[0, :, 0], np.bincount(group)
    )


def average(q, k, v, key_lengths):
    """Replaces attention by a function of all three."""
    del key_lengths
    return q * jnp.mean(k, axis=1, keepdims=True) + jnp.mean(v, axis=1, keepdims=True)


def test_a_block_with_kernels_equals_one_without():
    config = DiTConfig(depth=1, width=48, num_heads=2, text_dim=8)
    b, n, g, s = 2, 19, 4, 3
    rng = np.random.default_rng(0)
    angle = jnp.asarray(rng.uniform(0, 7, (b, n, 12)), jnp.float32)
    context = Context(
        modulation=jnp.asarray(rng.standard_normal((b, g, 6, 48)), jnp.float32),
        group=jnp.arange(n) * g // n,
        cos=jnp.cos(angle),
        sin=jnp.sin(angle),
        token_lengths=None,
        text=jnp.asarray(rng.standard_normal((b, s, 48)), jnp.float32),
        text_lengths=jnp.array([3, 2]),
    )
    x = jnp.asarray(rng.standard_normal((b, n, 48)), jnp.float32)
    blocks = [Block(config, jnp.float32, average, Modulation(name)) for name in ("xla", "tpu")]
    shapes = jax.eval_shape(blocks[0].init, jax.random.key(0), x, context)
    params = jax.tree.map(
        lambda leaf: jnp.asarray(rng.standard_normal(leaf.shape), jnp.float32) / 7,
        unboxed(shapes)["params"],
    )

    def derived(block):
        def loss(params, x):
            return jnp.sum(jnp.sin(block.apply({"params": params}, x, context)[0]))

        return jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))(params, x)

    without, with_kernels = (jax.tree.leaves(derived(block)) for block in blocks)
    for expected, found in zip(without, with_kernels):
        assert np.linalg.norm(found - expected) <= 1e-4 * np.linalg.norm(expected)
