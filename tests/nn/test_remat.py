# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest

from mugv_jax.kernels import attention
from mugv_jax.nn.dit import remat
from mugv_jax.nn.mugdit.model import MugDiT
from mugv_jax.nn.mugdit.sizes import DiTConfig
from mugv_jax.weights.random import random_variables
from mugv_jax.weights.registry import abstract_variables

CONFIG = DiTConfig(depth=3, width=24, num_heads=2, in_channels=4, text_dim=8)
# Far more tokens than a weight has rows, so that shapes identify kept activations.
FRAMES, SIDE = 4, 32
TOKENS = FRAMES * (SIDE // 2) ** 2 + 2


def arguments():
    latent = jax.random.normal(jax.random.key(0), (1, FRAMES, SIDE, SIDE, 4))
    return {
        "x": latent,
        "t": jnp.full((1, FRAMES), 500.0),
        "text": jnp.ones((1, 5, 8)),
        "text_mask": jnp.ones((1, 5), bool),
        "fps": jnp.full((1,), 24.0),
        "frame_index": jnp.arange(FRAMES + 2)[None],
    }


def loss(policy):
    module = MugDiT(CONFIG, remat=policy)
    return lambda variables, inputs: jnp.mean(jnp.square(module.apply(variables, **inputs)))


@pytest.fixture(scope="module")
def variables():
    return random_variables(abstract_variables("mugv_dit", CONFIG), seed=1)


def kept_bytes(variables, policy):
    """Bytes of arrays over layers and tokens that live between forward and backward pass."""
    _, derivative = jax.eval_shape(
        lambda v: jax.vjp(lambda v: loss(policy)(v, arguments()), v), variables
    )
    return sum(
        leaf.size * leaf.dtype.itemsize
        for leaf in jax.tree.leaves(derivative)
        if leaf.ndim > 2 and leaf.shape[0] == CONFIG.depth and TOKENS in leaf.shape
    )


def test_policies_keep_what_their_table_says(variables):
    kept = {
        policy: kept_bytes(variables, policy) for policy in ("none", "dots", "attention", "full")
    }
    residual = CONFIG.depth * TOKENS * CONFIG.width * 4
    assert kept["full"] == residual
    assert kept["attention"] / residual == pytest.approx(1 + 2 + 2 / 12)  # two outputs, and lse
    # In widths of the residual: itself, q, k, v, two attentions with their output layers, the
    # queries of the text's, the MLP's hidden layer (4) and output; and lse, 1 / 12 of each twice.
    assert kept["dots"] / residual == pytest.approx(1 + 3 + 2 * 2 + 1 + 4 + 1 + 2 / 12)
    assert kept["none"] > kept["dots"]


def test_attention_is_not_computed_again_where_it_is_kept(variables):
    def loops(policy):
        """While loops of attention are the innermost: over heads, then over blocks."""
        gradient = jax.make_jaxpr(jax.grad(loss(policy)))(variables, arguments())
        return str(gradient).count("scan[")

    assert loops("dots") < loops("full")
    assert loops("attention") == loops("dots")


def test_offloading_keeps_residual_and_attention_on_the_host(variables):
    gradient = str(jax.make_jaxpr(jax.grad(loss("offload")))(variables, arguments()))
    heads = CONFIG.num_heads, CONFIG.head_dim
    for shape in ((CONFIG.width,), heads, heads[:1]):  # a block's input, out, lse
        sizes = ",".join(map(str, (CONFIG.depth, 1, TOKENS, *shape)))
        assert f"f32<host>[{sizes}]" in gradient
    residual = CONFIG.depth * TOKENS * CONFIG.width * 4
    assert kept_bytes(variables, "offload") / residual == pytest.approx(1 + 2 + 2 / 12)


def test_an_unknown_policy_is_named():
    with pytest.raises(
        ValueError, match="remat='most' must be one of none, dots, attention, full, offload"
    ):
        remat.rematerialised(nn.Dense, "most")
    assert set(remat.POLICIES) == {"none", "dots", "attention", "full", "offload"}
    assert attention.SAVED != remat.RESIDUAL
