# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Reference of the modulation kernels in float64, and tolerances."""

import jax
import jax.numpy as jnp
import numpy as np

TOLERANCES = {jnp.float32: 1e-5, jnp.bfloat16: 1e-2}  # relative L2


def normal(x, mean):
    return (x - mean) / jnp.sqrt(jnp.mean((x - mean) ** 2, axis=-1, keepdims=True) + 1e-6)


def norm_modulate(x, shift, scale, group):
    return normal(x, jnp.mean(x, axis=-1, keepdims=True)) * (1 + scale[:, group]) + shift[:, group]


def gate_residual(x, update, bias, gate, group):
    return x + gate[:, group] * (update + bias[None, None])


def gate_residual_norm_modulate(x, update, bias, gate, shift, scale, group):
    out = gate_residual(x, update, bias, gate, group)
    return out, norm_modulate(out, shift, scale, group)


def norm_rotate(q, scale, cos, sin):
    q = normal(q, 0) * scale[None, None, None]
    turned = jax.lax.complex(*jnp.split(q, 2, axis=-1)) * jax.lax.complex(cos, sin)[:, :, None]
    return jnp.concatenate([turned.real, turned.imag], axis=-1)


def with_gradients(function, arguments, weights):
    """Outputs, and derivatives of their sum with `weights` by all floating-point arguments."""
    names = [name for name, x in arguments.items() if x.dtype not in (jnp.int32, jnp.int64)]

    @jax.jit
    def apply(arguments, weights):
        chosen = {name: arguments[name] for name in names}
        outputs, derivative = jax.vjp(lambda chosen: function(**arguments | chosen), chosen)
        return outputs, *derivative(weights)

    return apply(arguments, weights)


def assert_equals_float64(operation, reference, arguments, dtype, skip=()):
    """Values and gradients of `operation`, each close to the reference's and in its own dtype."""
    rng = np.random.default_rng(0)
    outputs = jax.eval_shape(operation, **arguments)
    weights = jax.tree.map(lambda x: jnp.asarray(rng.standard_normal(x.shape), x.dtype), outputs)
    values, gradients = with_gradients(operation, arguments, weights)
    with jax.enable_x64(True):
        wide = jax.tree.map(widened, (arguments, weights))
        expected_values, expected_gradients = with_gradients(reference, *wide)
    for name in skip:
        assert not np.any(gradients.pop(name))
        expected_gradients.pop(name)
    pairs = zip(
        jax.tree.leaves((values, gradients)),
        jax.tree.leaves((expected_values, expected_gradients)),
    )
    for found, expected in pairs:
        found, expected = (np.asarray(x, np.float64) for x in (found, expected))
        assert np.linalg.norm(found - expected) <= TOLERANCES[dtype] * np.linalg.norm(expected)
    for name, gradient in gradients.items():
        assert gradient.dtype == arguments[name].dtype


def widened(x):
    return jnp.asarray(x, jnp.float64) if jnp.issubdtype(x.dtype, jnp.floating) else x


def arguments(names, size, dtype):
    """Random tokens, vectors, bias and group."""
    b, n, d, g = size
    rng = np.random.default_rng(n)
    made = {}
    for name in names.split():
        if name == "group":
            made[name] = jnp.asarray(np.sort(rng.integers(0, g, n)), jnp.int32)
        elif name == "bias":
            made[name] = jnp.asarray(rng.standard_normal(d), dtype)
        elif name in ("x", "update"):
            made[name] = jnp.asarray(rng.standard_normal((b, n, d)), dtype)
        else:
            made[name] = jnp.asarray(rng.standard_normal((b, g, d)), jnp.float32)
    return made


def heads(size, dtype):
    """Random queries, their scale, and angles."""
    b, n, _, e = size
    rng = np.random.default_rng(n)
    angle = rng.uniform(0, 7, (b, n, e // 2))
    return {
        "q": jnp.asarray(rng.standard_normal(size), dtype),
        "scale": jnp.asarray(1 + 0.1 * rng.standard_normal(e), dtype),
        "cos": jnp.asarray(np.cos(angle), jnp.float32),
        "sin": jnp.asarray(np.sin(angle), jnp.float32),
    }
