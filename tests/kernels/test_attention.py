# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mugv_jax.kernels import attention, flash

FLOAT32 = 2e-6  # relative L2 against float64: a few roundings per product


def reference(q, k, v, lengths):
    """Float64 softmax attention with the whole score matrix."""
    q, k, v = (np.asarray(x, np.float64) for x in (q, k, v))
    score = np.einsum("bnae,bsae->bans", q, k) / np.sqrt(q.shape[-1])
    mask = np.ones(k.shape[:2], bool)
    if lengths is not None:
        mask = np.arange(k.shape[1])[None] < np.asarray(lengths)[:, None]
    score = np.where(mask[:, None, None], score, -np.inf)
    prob = np.exp(score - score.max(-1, keepdims=True))
    return np.einsum("bans,bsae->bnae", prob / prob.sum(-1, keepdims=True), v)


@pytest.mark.parametrize(
    ("n", "s", "lengths"), [(37, 37, None), (50, 13, [13, 4]), (64, 70, [1, 69])]
)
@pytest.mark.parametrize("budget", [2**12, 2**24])
def test_attention_equals_float64_softmax_in_any_blocking(monkeypatch, n, s, lengths, budget):
    monkeypatch.setattr(flash, "CPU_SCORE_BYTES", budget)
    keys = jax.random.split(jax.random.key(n), 3)
    q = jax.random.normal(keys[0], (2, n, 3, 24))
    k, v = (jax.random.normal(key, (2, s, 3, 24)) for key in keys[1:])
    out = attention.attend(q, k, v, None if lengths is None else jnp.array(lengths))
    expected = reference(q, k, v, lengths)
    assert np.linalg.norm(out - expected) <= FLOAT32 * np.linalg.norm(expected)


def test_gradient_ignores_masked_keys():
    keys = jax.random.split(jax.random.key(0), 3)
    q, k, v = (jax.random.normal(key, (1, 9, 2, 12)) for key in keys)
    grad = jax.grad(lambda k: jnp.sum(jnp.square(attention.attend(q, k, v, jnp.array([5])))))(k)
    assert np.all(np.asarray(grad)[:, 5:] == 0)
    assert np.all(np.linalg.norm(np.asarray(grad)[:, :5], axis=-1) > 0)


def test_memory_grows_linearly_with_tokens():
    def peak_bytes(n):
        x = jax.ShapeDtypeStruct((1, n, 2, 72), jnp.float32)
        return (
            jax.jit(attention.attend).lower(x, x, x).compile().memory_analysis().temp_size_in_bytes
        )

    small, large = peak_bytes(8192), peak_bytes(32768)
    assert large < 5 * small
    assert large < 32768 * 32768  # a byte per score would already be more


def test_unknown_implementation_is_named():
    x = jnp.ones((1, 4, 1, 6))
    with pytest.raises(ValueError, match="flash9"):
        attention.attend(x, x, x, implementation="flash9")
