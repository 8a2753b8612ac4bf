# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mugv_jax.kernels import attention, attention_tpu, cudnn, flash, select, splash

FLOAT32 = 2e-6  # relative L2 against float64: a few roundings per product
GRADIENT = 2e-6  # relative L2 between two float32 orders of summation


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


def with_gradients(function):
    """out, d_q, d_k and d_v, of `function(q, k, v)` and a derivative of its output."""

    @jax.jit
    def apply(q, k, v, d_out):
        out, derivative = jax.vjp(function, q, k, v)
        return out, *derivative(d_out)

    return apply


def plain(q, k, v, lengths):
    """Float32 softmax attention with the whole score matrix, which JAX can differentiate."""
    score = jnp.einsum("bnae,bsae->bans", q, k) * q.shape[-1] ** -0.5
    seen = jnp.arange(k.shape[1])[None, None, None] < lengths[:, None, None, None]
    prob = jax.nn.softmax(jnp.where(seen, score, -jnp.inf), axis=-1)
    return jnp.einsum("bans,bsae->bnae", prob, v)


@pytest.mark.parametrize("implementation", ["xla", "splash", "tpu"])
def test_gradients_are_those_of_plain_softmax(monkeypatch, implementation):
    monkeypatch.setattr(flash, "CPU_SCORE_BYTES", 2**12)  # several blocks, the last one padded
    monkeypatch.setattr(splash, "BLOCK", 128)
    small = attention_tpu.Sizes(queries=256, keys=256, tile=128, ahead=1)  # half of it in float32
    monkeypatch.setattr(attention_tpu, "FORWARD_SIZES", small)
    monkeypatch.setattr(attention_tpu, "BACKWARD_SIZES", small)
    keys = jax.random.split(jax.random.key(1), 4)
    q, d_out = (jax.random.normal(key, (2, 150, 2, 12)) for key in keys[:2])
    k, v = (jax.random.normal(key, (2, 131, 2, 12)) for key in keys[2:])
    lengths = jnp.array([131, 40])
    attend = functools.partial(attention.attend, key_lengths=lengths, implementation=implementation)
    found = with_gradients(attend)(q, k, v, d_out)
    expected = with_gradients(functools.partial(plain, lengths=lengths))(q, k, v, d_out)
    for ours, theirs in zip(found, expected):
        assert np.linalg.norm(ours - theirs) <= GRADIENT * np.linalg.norm(theirs)


@pytest.mark.parametrize("implementation", ["xla", "splash", "tpu"])
def test_parts_of_the_keys_merge_to_the_whole(implementation):
    """Ring attention relies on this; one part has no visible key."""
    module = attention.blocked(implementation)
    forward, backward = jax.jit(module.forward), jax.jit(module.backward)
    keys = jax.random.split(jax.random.key(2), 4)
    q, k, v, d_out = (jax.random.normal(key, (1, 60, 2, 12)) for key in keys)
    whole = jnp.array([23])
    out, lse = forward(q, k, v, whole)
    *_, d_k, d_v = backward(q, k, v, whole, out, lse, d_out)
    parts = [(slice(0, 20), 20), (slice(20, 40), 3), (slice(40, 60), 0)]
    merged = np.zeros(out.shape)
    for part, valid in parts:
        some = k[:, part], v[:, part], jnp.array([valid])
        part_out, part_lse = forward(q, *some)
        merged += np.exp(part_lse - lse)[..., None] * part_out
        *_, part_k, part_v = backward(q, *some, out, lse, d_out)
        np.testing.assert_allclose(part_k, d_k[:, part], atol=1e-5)
        np.testing.assert_allclose(part_v, d_v[:, part], atol=1e-5)
    np.testing.assert_allclose(merged, out, atol=1e-5)


@pytest.mark.parametrize("size", [(10, 8), (9, 8), (10, 7), (9, 7)])
@pytest.mark.parametrize("lengths", [None, [7, 2]])
def test_cudnn_is_differentiated_for_even_numbers_of_tokens_only(monkeypatch, size, lengths):
    """cuDNN has no derivative for odd numbers; plain softmax replaces it here."""
    n, s = size
    keys = jax.random.split(jax.random.key(3), 4)
    q, d_out = (jax.random.normal(key, (2, n, 2, 12)) for key in keys[:2])
    k, v = (jax.random.normal(key, (2, s, 2, 12)) for key in keys[2:])
    sizes = []

    def primal(q, k, v, key_lengths):
        sizes.append((q.shape[1], k.shape[1]))
        whole = jnp.full(k.shape[:1], k.shape[1])
        return plain(q, k, v, whole if key_lengths is None else key_lengths)

    monkeypatch.setattr(cudnn, "attend", primal)
    lengths = None if lengths is None else jnp.array(lengths)
    out, derivative = attention._cudnn_forward(q, k, v, lengths)
    found = out, *attention._cudnn_backward(derivative, d_out)[:3]
    assert sizes == [(10, 8)]
    lengths = jnp.full((2,), s) if lengths is None else lengths
    expected = with_gradients(functools.partial(plain, lengths=lengths))(q, k, v, d_out)
    for ours, theirs in zip(found, expected):
        assert np.linalg.norm(ours - theirs) <= GRADIENT * np.linalg.norm(theirs)


def test_a_sample_without_keys_gets_zeros_and_no_gradient():
    q, k, v = jax.random.normal(jax.random.key(0), (3, 2, 9, 2, 12))
    lengths = jnp.array([0, 9])
    attend = functools.partial(attention.attend, key_lengths=lengths)
    out, *gradients = (np.asarray(x) for x in with_gradients(attend)(q, k, v, q))
    assert not np.any(out[0])
    for gradient in gradients:
        assert not np.any(gradient[0])
        assert np.all(np.isfinite(gradient))
        assert np.any(gradient[1])


@pytest.mark.parametrize("backward", [False, True])
def test_memory_grows_linearly_with_tokens(backward):
    def peak_bytes(n):
        x = jax.ShapeDtypeStruct((1, n, 2, 72), jnp.float32)
        if backward:
            lowered = with_gradients(attention.attend).lower(x, x, x, x)
        else:
            lowered = jax.jit(attention.attend).lower(x, x, x)
        return lowered.compile().memory_analysis().temp_size_in_bytes

    small, large = peak_bytes(8192), peak_bytes(32768)
    assert large < 5 * small
    assert large < 32768 * 32768  # less than a byte per score


def test_unknown_implementation_is_named():
    x = jnp.ones((1, 4, 1, 6))
    with pytest.raises(
        ValueError, match="'flash9' is not one of 'cudnn', 'xla', 'splash', 'tpu', 'hopper'"
    ):
        attention.attend(x, x, x, implementation="flash9")


@pytest.mark.parametrize(
    ("platform", "capability", "dtype", "head", "chosen"),
    [
        ("cpu", None, jnp.bfloat16, 72, ("xla", "xla")),
        ("tpu", None, jnp.bfloat16, 72, ("tpu", "tpu")),
        ("gpu", 90, jnp.bfloat16, 72, ("hopper", "hopper")),
        ("gpu", 90, jnp.bfloat16, 128, ("cudnn", "xla")),
        ("gpu", 90, jnp.float16, 72, ("cudnn", "xla")),
        ("gpu", 90, jnp.float32, 72, ("xla", "xla")),
        ("gpu", 80, jnp.bfloat16, 72, ("cudnn", "xla")),
        ("gpu", None, jnp.bfloat16, 72, ("cudnn", "xla")),  # this machine's device is not 9.0
    ],
)
def test_defaults_are_what_was_measured(monkeypatch, platform, capability, dtype, head, chosen):
    """The default for whole attention, and the one whose parts are merged."""
    monkeypatch.setattr(select, "platform", lambda: platform)
    monkeypatch.setattr(select, "compute_capability", lambda: capability)
    assert (select.attention(dtype, head), select.blocked_attention(dtype, head)) == chosen
