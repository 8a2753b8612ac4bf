# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mugv_jax.nn.layers import unboxed
from mugv_jax.nn.vae.discriminator import Discriminator, DiscriminatorConfig


@pytest.fixture(scope="module")
def critic():
    module = Discriminator(DiscriminatorConfig(channels=(8, 8)), jnp.float32)
    variables = unboxed(jax.jit(module.init)(jax.random.key(0), jnp.zeros((1, 1, 16, 16, 3))))
    return jax.jit(lambda x: module.apply(variables, x))


@pytest.mark.parametrize("frames", [1, 5])
def test_there_is_a_score_for_every_patch_of_every_frame(critic, frames):
    assert critic(jnp.zeros((2, frames, 16, 24, 3))).shape == (2, frames, 4, 6, 1)


def test_a_score_sees_neighbouring_frames(critic):
    x = jnp.asarray(np.random.default_rng(0).standard_normal((1, 9, 16, 16, 3)), jnp.float32)
    grad = np.asarray(jax.grad(lambda x: critic(x)[0, 4, 2, 2, 0])(x))
    seen = np.abs(grad).sum(axis=(0, 2, 3, 4))
    assert seen[4] > 0
    assert seen[2] > 0
    assert seen[6] > 0


def test_widths_are_checked():
    with pytest.raises(ValueError, match=r"width of 40 channels among \(40,\) must be a multiple"):
        DiscriminatorConfig(channels=(40,))
    with pytest.raises(ValueError, match="must be one width or more"):
        DiscriminatorConfig(channels=())
