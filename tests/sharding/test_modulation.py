# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from mugv_jax.kernels.modulate import Modulation
from mugv_jax.sharding.mesh import make_mesh
from mugv_jax.sharding.modulation import MeshModulation
from mugv_jax.sharding.rules import RULES

TOLERANCE = 1e-5  # float32: sums in another order


def block_work(modulation, x, update, bias, vectors, group, scale, angle):
    """Number that depends on every operation."""
    gate, shift, scale_g = vectors
    y = modulation.norm_modulate(x, shift, scale_g, group)
    x, y = modulation.gate_residual_norm_modulate(x, y, bias, gate, shift, scale_g, group)
    x = modulation.gate_residual(x, update, bias, gate, group)
    q = modulation.norm_rotate(
        y.reshape(*y.shape[:2], 4, 12), scale, jnp.cos(angle), jnp.sin(angle)
    )
    return jnp.sum(jnp.sin(x)) + jnp.sum(jnp.sin(q))


@pytest.mark.parametrize(
    "sizes",
    [{"data": 2, "sequence": 2, "tensor": 2}, {"fsdp": 2, "sequence": 4}],
    ids=["heads split", "tokens split"],
)
def test_slices_of_tokens_on_eight_devices_equal_one_device(sizes):
    keys = jax.random.split(jax.random.key(0), 6)
    b, n, d, g = 2, 16, 48, 3
    arguments = (
        jax.random.normal(keys[0], (b, n, d)),
        jax.random.normal(keys[1], (b, n, d)),
        jax.random.normal(keys[2], (d,)),
        jax.random.normal(keys[3], (3, b, g, d)),
        jnp.array([0] + 9 * [1] + 6 * [2]),
        jax.random.normal(keys[4], (12,)),
        jax.random.normal(keys[5], (b, n, 6)),
    )
    derive = jax.value_and_grad(block_work, argnums=(1, 2, 3, 4, 6))
    expected = jax.jit(derive, static_argnums=0)(Modulation("xla"), *arguments)
    mesh = make_mesh(sizes)
    with jax.set_mesh(mesh), nn.logical_axis_rules(RULES):
        modulation = MeshModulation("tpu", mesh=mesh)  # interpreted
        found = jax.jit(derive, static_argnums=0)(modulation, *arguments)
    for one, other in zip(jax.tree.leaves(expected), jax.tree.leaves(found)):
        np.testing.assert_allclose(other, one, rtol=TOLERANCE, atol=TOLERANCE * np.abs(one).max())
