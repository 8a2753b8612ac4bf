# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch

from mugv_jax.train.optimizer import (
    OptimizerConfig,
    learning_rate,
    make_optimizer,
    stochastic_bfloat16,
)

FLOAT32 = 1e-6  # relative: the same few operations in another order


def tree(seed=0):
    keys = jax.random.split(jax.random.key(seed), 3)
    return {
        "blocks": {"mlp": {"kernel": jax.random.normal(keys[0], (5, 7))}},
        "final": {
            "kernel": jax.random.normal(keys[1], (7, 3)),
            "bias": jax.random.normal(keys[2], (3,)),
        },
    }


def run(config, params, gradients, steps=1000):
    optimizer, _ = make_optimizer(config, steps)
    state = optimizer.init(params)
    update = jax.jit(optimizer.update)
    for gradient in gradients:
        updates, state = update(gradient, state, params)
        params = optax.apply_updates(params, updates)
    return params, state


def test_steps_are_those_of_adamw_with_clipping_in_pytorch():
    config = OptimizerConfig(
        learning_rate=1e-2, warmup_steps=0, weight_decay=0.1, clip=0.5, epsilon=1e-10
    )
    gradients = [tree(seed) for seed in range(1, 6)]
    ours, _ = run(config, tree(), gradients)
    theirs = [torch.nn.Parameter(torch.tensor(np.asarray(x))) for x in jax.tree.leaves(tree())]
    adamw = torch.optim.AdamW(theirs, lr=1e-2, eps=1e-10, weight_decay=0.1)
    for gradient in gradients:
        for parameter, g in zip(theirs, jax.tree.leaves(gradient)):
            parameter.grad = torch.tensor(np.asarray(g))
        torch.nn.utils.clip_grad_norm_(theirs, 0.5)
        adamw.step()
    for a, b in zip(jax.tree.leaves(ours), theirs):
        np.testing.assert_allclose(a, b.detach().numpy(), rtol=1e-5, atol=1e-6)


def test_a_group_scales_rate_and_decay_of_what_its_pattern_finds():
    config = OptimizerConfig(
        learning_rate=1e-2, warmup_steps=0, groups=(("^final/bias$", 0.0, 0.0), ("final", 0.5, 0.0))
    )
    gradients = [tree(1)]
    plain, _ = run(OptimizerConfig(learning_rate=1e-2, warmup_steps=0), tree(), gradients)
    ours, _ = run(config, tree(), gradients)
    start = tree()
    np.testing.assert_array_equal(ours["final"]["bias"], start["final"]["bias"])
    half = start["final"]["kernel"] + (plain["final"]["kernel"] - start["final"]["kernel"]) / 2
    np.testing.assert_allclose(ours["final"]["kernel"], half, rtol=FLOAT32)
    np.testing.assert_array_equal(ours["blocks"]["mlp"]["kernel"], plain["blocks"]["mlp"]["kernel"])


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", {0: 0.1, 5: 0.6, 9: 1.0, 50: 1.0, 99: 1.0}),
        ("cosine", {0: 0.1, 10: 1.0, 55: 0.55, 100: 0.1}),
        ("annealed", {0: 0.1, 10: 1.0, 80: 1.0, 90: 0.55, 100: 0.1}),
    ],
)
def test_schedules_warm_up_hold_and_come_down(schedule, expected):
    config = OptimizerConfig(
        learning_rate=1.0, schedule=schedule, warmup_steps=10, decay_steps=20, final_fraction=0.1
    )
    rate = learning_rate(config, 100)
    found = {step: float(rate(step)) for step in expected}
    assert found == pytest.approx(expected, rel=1e-5)


def test_bfloat16_moments_follow_those_of_float32():
    gradients = [tree(seed) for seed in range(1, 40)]
    small = OptimizerConfig(learning_rate=1e-3, warmup_steps=0, moment_dtype="bfloat16")
    large = OptimizerConfig(learning_rate=1e-3, warmup_steps=0)
    ours, state = run(small, tree(), gradients)
    reference, _ = run(large, tree(), gradients)
    moments = jax.tree.leaves((state[1].mu, state[1].nu))
    assert {x.dtype for x in moments} == {jnp.dtype(jnp.bfloat16)}
    moved = [a - b for a, b in zip(jax.tree.leaves(reference), jax.tree.leaves(tree()))]
    off = [a - b for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(reference))]
    assert optax.tree.norm(off) < 0.05 * optax.tree.norm(moved)


def test_stochastic_rounding_is_right_on_average_and_exact_where_it_can_be():
    x = jnp.full(200_000, 1.0 + 2.0**-10, jnp.float32)  # an eighth of the way to the next one up
    rounded = stochastic_bfloat16(jax.random.key(0), x).astype(jnp.float32)
    assert set(np.unique(rounded)) == {1.0, 1.0 + 2.0**-7}
    assert float(jnp.mean(rounded)) == pytest.approx(1 + 2.0**-10, abs=3e-5)
    exact = jnp.array([0.0, -1.5, 3.0e38, jnp.inf, -jnp.inf, jnp.nan], jnp.bfloat16)
    exact = exact.astype(jnp.float32)
    again = stochastic_bfloat16(jax.random.key(1), exact)
    np.testing.assert_array_equal(again.astype(jnp.float32), exact)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"method": "sgd"}, "method='sgd' must be one of adamw, muon"),
        ({"schedule": "linear"}, "schedule='linear' must be one of constant, cosine, annealed"),
        ({"learning_rate": 0.0}, "learning_rate=0.0 must be above 0"),
        ({"clip": -1.0}, "clip=-1.0 must be above 0"),
        ({"b2": 1.0}, r"b2=1.0 must lie in \[0, 1\)"),
        ({"warmup_steps": -1}, "warmup_steps=-1 must be at least 0"),
        ({"moment_dtype": "int8"}, "moment_dtype='int8'"),
        ({"freeze": ("(",)}, "'\\(' is no regular expression"),
    ],
)
def test_values_out_of_range_are_named(fields, message):
    with pytest.raises(ValueError, match=message):
        OptimizerConfig(**fields)


def test_a_decay_longer_than_the_run_is_refused():
    config = OptimizerConfig(schedule="annealed", warmup_steps=10, decay_steps=95)
    with pytest.raises(ValueError, match="longer than the 100 steps"):
        learning_rate(config, 100)
