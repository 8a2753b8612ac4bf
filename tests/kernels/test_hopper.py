# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mugv_jax.kernels import attention, cudnn, flash, hopper, products, select

BFLOAT16 = 1e-2  # relative L2 against float32: 8 bits of products, weights and results
LSE = 5e-3  # absolute: queries are rounded once more after they are scaled
HEAD_DIM = 72


def inputs(b, n, s, a, e=HEAD_DIM, seed=0):
    """q, k, v and a derivative of the output."""
    keys = jax.random.split(jax.random.key(seed), 4)
    sizes = ((b, n, a, e), (b, s, a, e), (b, s, a, e), (b, n, a, e))
    return [jax.random.normal(key, size, jnp.bfloat16) for key, size in zip(keys, sizes)]


def widened(x):
    return [each.astype(jnp.float32) for each in x]


@pytest.fixture
def no_races(monkeypatch, capfd):
    """The interpreter reports unordered reads and writes; a test must leave none."""
    parameters = products.interpretation()["interpret"]
    watched = dataclasses.replace(parameters, detect_races=True)
    monkeypatch.setattr(products, "interpretation", lambda: {"interpret": watched})
    yield
    assert "RACE DETECTED" not in capfd.readouterr().out


def distance(ours, theirs):
    ours, theirs = (np.asarray(x, np.float64) for x in (ours, theirs))
    return np.linalg.norm(ours - theirs) / np.linalg.norm(theirs)


@pytest.mark.parametrize(
    ("shape", "lengths"),
    [((2, 30, 140, 1), [131, 0]), ((1, 200, 33, 2, 24), None), ((1, 9, 400, 1), None)],
    ids=["a sample without keys", "two blocks of queries, another head", "more steps than stages"],
)
@pytest.mark.usefixtures("no_races")
def test_interpreted_forward_equals_float32_attention(shape, lengths):
    q, k, v, _ = inputs(*shape)
    lengths = None if lengths is None else jnp.array(lengths)
    out, lse = hopper.forward(q, k, v, lengths)
    expected, expected_lse = flash.forward(*widened((q, k, v)), lengths)
    seen = np.array([True] if lengths is None else lengths > 0)
    assert distance(out[seen], expected[seen]) <= BFLOAT16
    assert np.max(np.abs((lse - expected_lse)[seen])) <= LSE
    assert np.all(np.asarray(lse)[~seen] == flash.UNSEEN)


@pytest.mark.usefixtures("no_races")
def test_interpreted_backward_equals_float32_attention():
    q, k, v, d_out = inputs(1, 100, 270, 1)
    lengths = jnp.array([131])
    out, lse = flash.forward(*widened((q, k, v)), lengths)
    found = hopper.backward(q, k, v, lengths, out.astype(q.dtype), lse, d_out)
    expected = flash.backward(*widened((q, k, v)), lengths, out, lse, d_out.astype(jnp.float32))
    for ours, theirs in zip(found, expected):
        assert distance(ours, theirs) <= BFLOAT16
    assert not any(np.any(np.asarray(x)[:, 131:]) for x in found[1:])


def test_rows_without_keys_have_no_statistics_to_compute_with():
    q, *_ = inputs(1, 4, 4, 1)
    lse = jnp.full((1, 4, 1), flash.UNSEEN)
    columns = np.asarray(hopper._queries(q, 8, lse), np.float32)[..., HEAD_DIM:]
    np.testing.assert_array_equal(columns[..., :3], 0)
    np.testing.assert_array_equal(columns[..., 3], 1)


def test_statistics_ride_in_the_padding_of_the_head():
    """The algebra of the module's docstring, without kernels: products alone give probabilities."""
    q, k, v, d_out = inputs(1, 20, 50, 2)
    lengths = jnp.array([37])
    out, lse = flash.forward(*widened((q, k, v)), lengths)
    out = out.astype(jnp.bfloat16)
    wide_q = hopper._queries(q, 32, lse)
    wide_k, wide_v = hopper._keys_values(k, v, lengths, 64)
    delta = jnp.sum(d_out.astype(jnp.float32) * out.astype(jnp.float32), -1)
    wide_d = hopper._widened(d_out, 32, hopper._parts(-delta, 32))

    def product(x, y):
        return np.einsum("bnaw,bsaw->bans", np.asarray(x, np.float64), np.asarray(y, np.float64))

    prob = 2 ** product(wide_q, wide_k)[:, :, :20]
    assert not np.any(prob[..., 37:])
    np.testing.assert_allclose(prob.sum(-1), 1, atol=5e-3)
    rounded = np.asarray(d_out, np.float64), np.asarray(v, np.float64)
    d_weights = np.einsum("bnae,bsae->bans", *rounded) - np.asarray(delta).swapaxes(1, 2)[..., None]
    np.testing.assert_allclose(
        product(wide_d, wide_v)[:, :, :20, :37], d_weights[..., :37], atol=1e-4
    )


def test_parts_sum_to_a_float32_number_and_fit_bfloat16():
    x = jax.random.normal(jax.random.key(3), (2, 9, 3)) * 50
    parts = jax.jit(lambda x: hopper._parts(x, 16))(x)
    for part in parts:
        np.testing.assert_array_equal(part, part.astype(jnp.bfloat16).astype(jnp.float32))
        assert not np.any(part[:, 9:])
    np.testing.assert_allclose(sum(np.asarray(part, np.float64) for part in parts)[:, :9], x, 1e-6)


def test_scores_beyond_the_range_take_the_path_that_subtracts_their_maximum():
    q, k, v, _ = inputs(1, 8, 12, 1)
    q = q * jnp.bfloat16(200)
    out, lse = hopper.forward(q, k, v, None)
    expected, expected_lse = flash.forward(q, k, v, None)
    assert np.max(np.abs(expected_lse)) > hopper.LARGEST_SCORE
    np.testing.assert_array_equal(out, expected)
    np.testing.assert_array_equal(lse, expected_lse)
    np.testing.assert_array_equal(hopper.output(q, k, v, None), expected)


def test_output_alone_is_that_of_the_forward_pass(monkeypatch):
    q, k, v, _ = inputs(1, 30, 140, 1)
    np.testing.assert_array_equal(
        attention.attend(q, k, v, implementation="hopper"), hopper.forward(q, k, v, None)[0]
    )
    # On a GPU, what is out of range is left to cuDNN.
    monkeypatch.setattr(select, "platform", lambda: "gpu")
    monkeypatch.setattr(cudnn, "attend", lambda q, *_: q + 1)
    monkeypatch.setattr(hopper, "forward_unshifted", lambda q, *_: (q, None))
    np.testing.assert_array_equal(hopper.output(q, k, v, None), q)
    q = q * jnp.bfloat16(200)
    np.testing.assert_array_equal(hopper.output(q, k, v, None), q + 1)


def test_other_dtypes_are_refused_by_name():
    q, k, v, _ = inputs(1, 8, 8, 1)
    with pytest.raises(ValueError, match="takes bfloat16, but k is float32: choose 'xla'"):
        hopper.forward(q, k.astype(jnp.float32), v, None)


def test_it_lowers_for_cuda_without_a_gpu(monkeypatch):
    monkeypatch.setattr(select, "platform", lambda: "gpu")
    q, k, v, d_out = (jax.ShapeDtypeStruct(x.shape, x.dtype) for x in inputs(1, 1000, 1000, 2))

    def with_gradients(q, k, v, d_out):
        attend = lambda *qkv: attention.attend(*qkv, implementation="hopper")  # noqa: E731
        out, derivative = jax.vjp(attend, q, k, v)
        return out, *derivative(d_out)

    checks = [
        jax.export.DisabledSafetyCheck.custom_call(name) for name in ("mosaic_gpu", "mosaic_gpu_v2")
    ]
    exported = jax.export.export(
        jax.jit(with_gradients), platforms=["cuda"], disabled_checks=checks
    )(q, k, v, d_out)
    module = exported.mlir_module()
    assert module.count("custom_call @mosaic_gpu") == 3  # forward, and two for the backward pass
    assert [out.shape for out in exported.out_avals] == [x.shape for x in (d_out, q, k, v)]
