# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util

from mugv_jax.nn.layers import Linear, unboxed
from mugv_jax.nn.lora import LoraConfig, abstract_lora, init_lora, merge, scaled
from mugv_jax.nn.mugdit.model import MugDiT
from mugv_jax.nn.mugdit.sizes import DiTConfig
from mugv_jax.weights.random import random_variables
from mugv_jax.weights.registry import abstract_variables
from tests.nn.test_mugdit import inputs

CONFIG = DiTConfig(depth=2, width=48, num_heads=2, text_dim=16)
LORA = LoraConfig(rank=3, alpha=6.0)
# Two orders of the same sums in float32: x (W + A B) and x W + (x A) B.
REORDERED = 2e-5


def abstract():
    return abstract_variables("mugv_dit", CONFIG)["params"]


@pytest.fixture(scope="module")
def params():
    return random_variables(abstract_variables("mugv_dit", CONFIG), seed=1)["params"]


@pytest.fixture(scope="module")
def lora():
    """Low-rank factors, none of them zero."""
    factors = init_lora(jax.random.key(0), abstract(), LORA)
    return jax.tree.map(lambda x: jax.random.normal(jax.random.key(1), x.shape) / 4, factors)


@jax.jit
def forward(variables):
    x, t, text, options = inputs()
    return MugDiT(CONFIG).apply(variables, x, t, text, **options)


def error(found, expected):
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


def test_updates_beside_the_weights_equal_updates_merged_into_them(params, lora):
    beside = forward({"params": params, "lora": scaled(lora, LORA)})
    merged = forward({"params": merge(params, lora, LORA)})
    assert error(beside, merged) < REORDERED
    assert error(beside, forward({"params": params})) > 0.1


def test_fresh_factors_change_nothing_and_only_b_learns_first(params):
    fresh = init_lora(jax.random.key(0), abstract(), LORA)
    plain = forward({"params": params})
    updated = forward({"params": params, "lora": scaled(fresh, LORA)})
    np.testing.assert_allclose(updated, plain, rtol=1e-5, atol=2e-6)  # two programs' rounding

    def loss(factors):
        return jnp.mean(jnp.square(forward({"params": params, "lora": scaled(factors, LORA)})))

    gradient = traverse_util.flatten_dict(jax.jit(jax.grad(loss))(fresh), sep="/")
    assert len(gradient) == 2 * 7
    for path, leaf in gradient.items():
        assert bool(np.any(leaf != 0)) == path.endswith("/b"), path


def test_factors_have_the_shapes_and_names_of_their_kernel():
    boxed = traverse_util.flatten_dict(abstract_lora(abstract(), LORA), sep="/")
    a, b = boxed["blocks/self_attention/qkv/a"], boxed["blocks/self_attention/qkv/b"]
    assert (a.value.shape, a.names) == ((2, 48, 3), ("layers", "embed", None))
    assert b.value.shape == (2, 3, 3, 2, 24)
    assert b.names == ("layers", None, "qkv", "heads", "head_dim")
    a, b = boxed["blocks/self_attention/out/a"], boxed["blocks/self_attention/out/b"]
    assert (a.value.shape, a.names) == ((2, 2, 24, 3), ("layers", "heads", "head_dim", None))
    assert (b.value.shape, b.names) == ((2, 3, 48), ("layers", None, "embed"))


def test_initial_values_depend_on_key_and_path_alone():
    many = traverse_util.flatten_dict(init_lora(jax.random.key(0), abstract(), LORA), sep="/")
    config = LoraConfig(rank=3, targets=("mlp/up", "^final/linear$"))
    few = traverse_util.flatten_dict(init_lora(jax.random.key(0), abstract(), config), sep="/")
    assert set(few) == {
        f"{layer}/{factor}"
        for layer in ("text_embed/mlp/up", "blocks/mlp/up", "final/linear")
        for factor in "ab"
    }
    np.testing.assert_array_equal(few["blocks/mlp/up/a"], many["blocks/mlp/up/a"])
    assert 0.9 < np.max(np.abs(few["blocks/mlp/up/a"])) * 48**0.5 <= 1
    assert not np.array_equal(few["text_embed/mlp/up/a"][0], few["final/linear/a"][0])


def test_one_linear_layer_that_contracts_two_axes():
    layer = Linear(5, axes=("heads", "head_dim", "embed"), contract=2, dtype=jnp.float32)
    x = jax.random.normal(jax.random.key(0), (7, 2, 4))
    variables = layer.init(jax.random.key(1), x)
    shapes = abstract_lora(
        {"layer": jax.eval_shape(layer.init, jax.random.key(1), x)["params"]},
        LoraConfig(rank=2, targets=("layer",)),
    )["layer"]
    a, b = (jax.random.normal(jax.random.key(2), shapes[k].value.shape) for k in "ab")
    y = layer.apply({**unboxed(variables), "lora": {"a": a, "b": b}}, x)
    plain = layer.apply(unboxed(variables), x)
    update = x.reshape(7, 8) @ a.reshape(8, 2) @ b
    np.testing.assert_allclose(y - plain, update, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rank": -1}, "rank=-1 must be at least 1"),
        ({"alpha": 0.0}, "alpha=0.0 must be a positive number"),
        ({"targets": ("(",)}, "no regular expression"),
    ],
)
def test_values_out_of_range_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        LoraConfig(**fields)


def test_targets_that_are_not_there_are_refused():
    for targets in ((), ("blocks/mlp/up", "blocks/moe")):
        with pytest.raises(ValueError, match=r"LoRA target .* the paths are "):
            abstract_lora(abstract(), LoraConfig(targets=targets))
    kernel = nn.LogicallyPartitioned(jax.ShapeDtypeStruct((3, 4), jnp.float32), ("embed", None))
    with pytest.raises(ValueError, match="layer has no bias"):
        abstract_lora({"layer": {"kernel": kernel}}, LoraConfig(targets=("layer",)))
