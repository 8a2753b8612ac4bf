# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Blocks and tiles of attention on TPU; `test_attention.py` has the other tests."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mugv_jax.kernels import attention_tpu
from mugv_jax.kernels.attention import attend
from mugv_jax.kernels.attention_tpu import BACKWARD_SIZES, FORWARD_SIZES, Blocks, Sizes, blocks

SAME = 2e-6  # relative L2 between two float32 orders of summation
BFLOAT16 = 8e-3  # relative L2: probabilities and results are rounded to 8 bits


@pytest.mark.parametrize("lengths", [None, [430, 500], [256, 100]])
@pytest.mark.parametrize("resident", [attention_tpu.RESIDENT_BYTES, 0])
@pytest.mark.parametrize("ahead", [0, 3])
def test_blocks_tiles_and_parts_of_the_queries_change_nothing(
    monkeypatch, lengths, resident, ahead
):
    """Blocks of four tiles: whole, partly masked and skipped; queries at once or block by block."""
    small = Sizes(queries=512, keys=512, tile=128, ahead=ahead)  # half of it in float32
    monkeypatch.setattr(attention_tpu, "FORWARD_SIZES", small)
    monkeypatch.setattr(attention_tpu, "BACKWARD_SIZES", small)
    monkeypatch.setattr(attention_tpu, "RESIDENT_BYTES", resident)
    assert blocks(small, 300, 500, 4) == Blocks(256, 256, 128, 128, ahead)
    q, d_out = jax.random.normal(jax.random.key(0), (2, 2, 300, 2, 24))
    k, v = jax.random.normal(jax.random.key(1), (2, 2, 500, 2, 24))
    lengths = None if lengths is None else jnp.array(lengths)

    @functools.partial(jax.jit, static_argnums=0)
    def with_gradients(implementation):
        of = functools.partial(attend, key_lengths=lengths, implementation=implementation)
        out, derivative = jax.vjp(of, q, k, v)
        return out, *derivative(d_out)

    for found, expected in zip(with_gradients("tpu"), with_gradients("xla")):
        assert np.linalg.norm(found - expected) <= SAME * np.linalg.norm(expected)


def test_bfloat16_is_as_close_to_float32_as_its_rounding():
    x = jax.random.normal(jax.random.key(2), (4, 1, 200, 2, 72))

    @functools.partial(jax.jit, static_argnums=(0, 1))
    def with_gradients(implementation, dtype):
        *qkv, d_out = x.astype(dtype)
        of = functools.partial(attend, implementation=implementation)
        out, derivative = jax.vjp(of, *qkv)
        return out, *derivative(d_out)

    expected = with_gradients("xla", jnp.float32)
    for found, exact in zip(with_gradients("tpu", jnp.bfloat16), expected):
        assert found.dtype == jnp.bfloat16
        assert np.linalg.norm(found.astype(jnp.float32) - exact) <= BFLOAT16 * np.linalg.norm(exact)


@pytest.mark.parametrize(
    ("sizes", "tokens", "itemsize", "expected"),
    [
        (FORWARD_SIZES, (50402, 50402), 2, Blocks(1024, 2048, 256, 256, 3)),
        (FORWARD_SIZES, (50402, 50402), 4, Blocks(512, 1024, 256, 256, 3)),
        (BACKWARD_SIZES, (50402, 50402), 2, Blocks(2048, 1024, 512, 512, 1)),
        (BACKWARD_SIZES, (50402, 300), 2, Blocks(2048, 384, 512, 384, 1)),
    ],
)
def test_blocks_divide_the_tokens_with_little_padding(sizes, tokens, itemsize, expected):
    assert blocks(sizes, *tokens, itemsize) == expected
