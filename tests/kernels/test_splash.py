# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Blocks of the backward pass of attention on TPU; `test_attention.py` has the other tests."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mugv_jax.kernels import splash
from mugv_jax.kernels.attention import attend


def test_paired_blocks_of_keys_and_heads_in_groups_change_nothing(monkeypatch):
    monkeypatch.setattr(splash, "BLOCK", 256)
    monkeypatch.setattr(splash, "PARTS_BYTES", 0)
    assert splash._backward_blocks(500, 4) == (512, 128)
    q, k, v = jax.random.normal(jax.random.key(0), (3, 2, 500, 4, 24))
    assert splash._heads_at_once(q, k) == 2

    def gradients(implementation):
        out = functools.partial(attend, implementation=implementation)
        loss = lambda *qkv: jnp.sum(jnp.sin(out(*qkv, jnp.array([430, 500]))))  # noqa: E731
        return jax.jit(jax.grad(loss, argnums=(0, 1, 2)))(q, k, v)

    for found, expected in zip(gradients("splash"), gradients("xla")):
        assert np.linalg.norm(found - expected) <= 2e-6 * np.linalg.norm(expected)


@pytest.mark.parametrize(
    ("tokens", "itemsize", "blocks"),
    [(50404, 2, (2048, 512)), (50404, 4, (1024, 1024)), (300, 2, (384, 384))],
)
def test_blocks_of_keys_come_in_pairs_where_they_can(tokens, itemsize, blocks):
    assert splash._backward_blocks(tokens, itemsize) == blocks
