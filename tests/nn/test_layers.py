# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mugv_jax.kernels.modulate_xla import normalize
from mugv_jax.nn.layers import LayerNormAffine, Linear, Mlp, RMSNorm, unboxed


def test_linear_onto_several_axes_equals_the_flat_product():
    x = jax.random.normal(jax.random.key(0), (2, 5, 7))
    module = Linear((3, 4, 6), axes=("embed", "qkv", "heads", "head_dim"), dtype=jnp.float32)
    y, variables = module.init_with_output(jax.random.key(1), x)
    kernel = variables["params"]["kernel"].value
    expected = (x.reshape(10, 7) @ kernel.reshape(7, -1)).reshape(2, 5, 3, 4, 6)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)


def rms_normalize(x):
    return RMSNorm(dtype=jnp.float32).init_with_output(jax.random.key(1), x)[0]


@pytest.mark.parametrize("norm", [normalize, rms_normalize])
def test_norm_statistics_survive_bfloat16_input_with_a_large_offset(norm):
    x = jax.random.normal(jax.random.key(0), (4, 4096)) + 100 * (norm is normalize)
    np.testing.assert_allclose(np.mean(np.square(norm(x.astype(jnp.bfloat16)))), 1.0, rtol=2e-2)


def test_the_affine_parameters_of_a_norm_are_a_modulation():
    module = LayerNormAffine(8)
    weights = {"scale": jnp.linspace(0.5, 3, 8), "bias": jnp.linspace(-1, 1, 8)}
    shift, scale = module.apply({"params": weights})
    np.testing.assert_allclose(1 + scale, weights["scale"], rtol=1e-6)
    np.testing.assert_array_equal(shift, weights["bias"])


def test_mlp_contracts_back_to_the_input_width():
    x = jnp.ones((1, 3, 8))
    y, variables = Mlp(16, dtype=jnp.float32).init_with_output(jax.random.key(0), x)
    assert y.shape == x.shape
    assert variables["params"]["up"]["kernel"].names == ("embed", "mlp")


def test_a_layer_is_its_product_and_its_bias():
    x = jax.random.normal(jax.random.key(0), (1, 3, 8))
    module = Mlp(16, dtype=jnp.float32)
    params = unboxed(module.init(jax.random.key(0), x))
    params["params"]["down"]["bias"] = jnp.linspace(-1, 1, 8)
    y, bias = module.apply(params, x, method="without_bias")
    np.testing.assert_array_equal(bias, params["params"]["down"]["bias"])
    np.testing.assert_allclose(module.apply(params, x), y + bias[None, None], rtol=1e-6)
