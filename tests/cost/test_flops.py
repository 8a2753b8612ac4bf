# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import functools
import math

import jax
import jax.numpy as jnp
import pytest
from jax.extend.core import jaxprs_in_params

from mugv_jax.cost.flops import dit_block, patches
from mugv_jax.kernels.modulate import Modulation
from mugv_jax.nn.dit.remat import POLICIES
from mugv_jax.nn.layers import unboxed
from mugv_jax.nn.mmdit.block import attend_jointly
from mugv_jax.nn.mmdit.model import MMDiT, MMDiTConfig
from mugv_jax.nn.mugdit.block import Block, Context
from mugv_jax.nn.mugdit.model import MugDiT
from mugv_jax.nn.mugdit.sizes import DiTConfig
from mugv_jax.nn.wan.dit import WanDiT, WanDiTConfig
from mugv_jax.nn.wan.enhancer import EnhancerDiT
from mugv_jax.systems.contentv.cost import mmdit_forward
from mugv_jax.systems.enhancer.cost import COSTS as ENHANCER
from mugv_jax.systems.mugv.cost import dit_forward, dit_tokens, train_step
from mugv_jax.systems.wan.cost import COSTS as WAN
from mugv_jax.weights.registry import abstract_variables

# The compiler also counts norms, softmax, rotations and gates: a smaller share at larger width.
SMALL_CHANGE = 0.03


def plain_attention(q, k, v, *_):
    prob_bans = jax.nn.softmax(jnp.einsum("bnae,bsae->bans", q, k), axis=-1)
    return jnp.einsum("bans,bsae->bnae", prob_bans, v)


def products(jaxpr):
    """2 x multiplications of every product of matrices, those of a scan once per iteration."""
    total = 0
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            shape = equation.invars[0].aval.shape
            depth = math.prod(shape[axis] for axis in contracted)
            total += 2 * depth * math.prod(equation.outvars[0].aval.shape)
        times = equation.params.get("length", 1)
        total += times * sum(map(products, jaxprs_in_params(equation.params)))
    return total


def test_a_forward_is_all_products_of_the_traced_model():
    config = DiTConfig(depth=3, width=96, num_heads=4, text_dim=40, mlp_ratio=3.0)
    frames, text_tokens = 5, 11
    arguments = {
        "x": jnp.zeros((1, frames, 7, 8, 24)),
        "t": jnp.zeros((1, frames)),
        "text": jnp.zeros((1, text_tokens, 40)),
        "text_mask": jnp.ones((1, text_tokens), bool),
        "fps": jnp.zeros((1,)),
        "frame_index": jnp.zeros((1, frames + 2), jnp.int32),
    }
    model = MugDiT(config, attend=plain_attention)
    variables = unboxed(abstract_variables("mugv_dit", config))
    traced = jax.make_jaxpr(model.apply)(variables, **arguments)
    assert dit_tokens(config, (frames, 7, 8)) == frames * 4 * 4 + 2
    assert dit_forward(config, (frames, 7, 8), text_tokens) == products(traced.jaxpr)


@pytest.mark.parametrize(
    ("kind", "module", "costs", "videos"),
    [("wan_enhancer_dit", EnhancerDiT, ENHANCER, 2), ("wan_dit", WanDiT, WAN, 1)],
    ids=["enhancer", "wan"],
)
def test_a_forward_of_wan_is_all_products_of_the_traced_model(kind, module, costs, videos):
    sizes = {"depth": 3, "width": 48, "mlp_dim": 80, "num_heads": 4, "text_dim": 24}
    config = WanDiTConfig(**sizes, in_channels=5, out_channels=5, text_tokens=11)
    latent = jnp.zeros((1, 3, 7, 8, 5))
    model = module(config, attend=plain_attention)
    variables = unboxed(abstract_variables(kind, config))
    text = jnp.zeros((1, 6, 24))  # filled up to 11
    clean = (latent,) * (videos - 1)
    traced = jax.make_jaxpr(model.apply)(variables, latent, jnp.zeros(1), text, *clean)
    assert patches(config, (3, 7, 8)) == 3 * 4 * 4
    assert costs.forward(config, (3, 7, 8), config.text_tokens) == products(traced.jaxpr)


def test_a_forward_of_contentv_is_all_products_of_the_traced_model():
    sizes = {"depth": 3, "num_heads": 4, "head_dim": 12, "in_channels": 5, "out_channels": 5}
    config = MMDiTConfig(**sizes, text_dim=24, pooled_dim=10)
    latent, text_tokens = jnp.zeros((1, 3, 7, 8, 5)), 11
    model = MMDiT(config, attend=functools.partial(attend_jointly, attend=plain_attention))
    variables = unboxed(abstract_variables("contentv_dit", config))
    text, pooled = jnp.zeros((1, text_tokens, 24)), jnp.zeros((1, 10))
    traced = jax.make_jaxpr(model.apply)(variables, latent, jnp.zeros(1), text, pooled)
    assert mmdit_forward(config, (3, 7, 8), text_tokens) == products(traced.jaxpr)


@pytest.mark.parametrize("backward", [False, True], ids=["forward", "forward and backward"])
def test_a_block_is_what_the_compiler_counts(backward):
    config = DiTConfig(depth=1, width=576, num_heads=8)
    tokens, text_tokens, groups = 256, 32, 3
    arrays = {
        "modulation": jnp.zeros((1, groups, 6, config.width)),
        "cos": jnp.zeros((1, tokens, config.head_dim // 2)),
        "sin": jnp.zeros((1, tokens, config.head_dim // 2)),
        "text": jnp.zeros((1, text_tokens, config.width)),
    }
    x = jnp.zeros((1, tokens, config.width))
    block = Block(config, jnp.float32, plain_attention, Modulation())

    def context(arrays):
        return Context(
            group=jnp.arange(tokens) * groups // tokens,
            token_lengths=None,
            text_lengths=jnp.full((1,), text_tokens),
            **arrays,
        )

    def loss(variables, x, text):
        out, _ = block.apply(variables, x, context(arrays | {"text": text}))
        return jnp.sum(out)

    variables = jax.eval_shape(lambda: block.init(jax.random.key(0), x, context(arrays)))
    # Within the model a block passes gradients to its weights, to the tokens and to the text.
    function = jax.value_and_grad(loss, argnums=(0, 1, 2)) if backward else loss
    compiled = jax.jit(function).lower(unboxed(variables), x, arrays["text"]).compile()
    expected = (3 if backward else 1) * sum(dit_block(config, tokens, text_tokens))
    assert abs(compiled.cost_analysis()["flops"] / expected - 1) <= SMALL_CHANGE


def test_a_step_is_three_forwards_and_what_its_policy_recomputes():
    config = DiTConfig(depth=3, width=96, num_heads=4)
    shape, text_tokens = (5, 8, 8), 11
    forward = dit_forward(config, shape, text_tokens)
    block = dit_block(config, dit_tokens(config, shape), text_tokens)
    recomputed = {
        "none": 0,
        "dots": 0,
        "attention": 3 * block.products,
        "offload": 3 * block.products,
        "full": 3 * (block.products + block.attention),
    }
    assert set(recomputed) == set(POLICIES)
    for policy, again in recomputed.items():
        step = train_step(config, shape, text_tokens, remat=policy)
        assert step.model == 3 * forward
        assert step.hardware - step.model == again
