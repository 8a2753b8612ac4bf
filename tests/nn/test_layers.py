# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mugv_jax.nn.layers import LayerNorm, Linear, Mlp, RMSNorm


def test_linear_onto_several_axes_equals_the_flat_product():
    x = jax.random.normal(jax.random.key(0), (2, 5, 7))
    module = Linear((3, 4, 6), axes=("embed", "qkv", "heads", "head_dim"), dtype=jnp.float32)
    y, variables = module.init_with_output(jax.random.key(1), x)
    kernel = variables["params"]["kernel"].value
    expected = (x.reshape(10, 7) @ kernel.reshape(7, -1)).reshape(2, 5, 3, 4, 6)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("norm", [LayerNorm, RMSNorm])
def test_norm_statistics_survive_bfloat16_input_with_a_large_offset(norm):
    x = jax.random.normal(jax.random.key(0), (4, 4096)) + 100 * (norm is LayerNorm)
    y, _ = norm(dtype=jnp.float32).init_with_output(jax.random.key(1), x.astype(jnp.bfloat16))
    np.testing.assert_allclose(np.mean(np.square(y)), 1.0, rtol=2e-2)


def test_mlp_contracts_back_to_the_input_width():
    x = jnp.ones((1, 3, 8))
    y, variables = Mlp(16, dtype=jnp.float32).init_with_output(jax.random.key(0), x)
    assert y.shape == x.shape
    assert variables["params"]["up"]["kernel"].names == ("embed", "mlp")
