# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mugv_jax.axes import LOGICAL_AXES
from mugv_jax.nn.mugdit.model import MugDiT
from mugv_jax.nn.mugdit.sizes import DiTConfig
from mugv_jax.sharding import mesh as meshes
from mugv_jax.sharding.parallel import build_dit
from mugv_jax.sharding.place import variable_shardings
from mugv_jax.sharding.rules import RULES
from mugv_jax.weights.random import random_variables
from mugv_jax.weights.registry import abstract_variables

SHARDED = 1e-5  # relative L2: the order of float32 sums differs


def inputs(batch=2):
    keys = jax.random.split(jax.random.key(0), 2)
    arrays = (
        jax.random.normal(keys[0], (batch, 3, 5, 7, 24)),  # 38 tokens: no power of two
        jnp.tile(jnp.array([[0.0, 500.0, 900.0]]), (batch, 1)),
        jax.random.normal(keys[1], (batch, 9, 32)),
    )
    options = {
        "text_mask": jnp.arange(9)[None] < jnp.array([[9], [4]])[:batch],
        "fps": jnp.full((batch,), 30.0),
        "frame_index": jnp.tile(jnp.arange(5)[None], (batch, 1)),
    }
    return arrays, options


@pytest.fixture(scope="module", params=[4, 1], ids=["4 heads", "1 head"])
def case(request):
    config = DiTConfig(depth=2, width=24 * request.param, num_heads=request.param, text_dim=32)
    arrays, options = inputs()
    boxed = abstract_variables("mugv_dit", config)
    variables = random_variables(boxed, seed=1)
    with jax.default_matmul_precision("highest"):
        expected = jax.jit(MugDiT(config).apply)(variables, *arrays, **options)
    return config, boxed, variables, np.asarray(expected)


@pytest.mark.parametrize("sizes", [(2, 1, 1), (1, 2, 1), (1, 1, 2), (2, 2, 2)], ids=str)
def test_every_mesh_gives_the_output_of_one_device(case, sizes):
    config, boxed, variables, expected = case
    if config.num_heads % sizes[1]:
        return  # refused, see below
    mesh = meshes.make_mesh(dict(zip(("data", "tensor", "sequence"), sizes)))
    placed = jax.device_put(variables, variable_shardings(boxed, mesh))
    module = build_dit(config, mesh, module=MugDiT, dtype=jnp.float32)
    arrays, options = inputs()
    with meshes.use(mesh), jax.default_matmul_precision("highest"):
        out = np.asarray(jax.jit(module.apply)(placed, *arrays, **options))
    assert np.linalg.norm(out - expected) <= SHARDED * np.linalg.norm(expected)


def test_weights_are_split_over_the_mesh_where_they_divide(case):
    config, boxed, _, _ = case
    mesh = meshes.make_mesh({"tensor": 2, "sequence": 2})
    shardings = variable_shardings(boxed, mesh)["params"]["blocks"]
    up = shardings["mlp"]["up"]["kernel"]
    qkv = shardings["self_attention"]["qkv"]["kernel"]
    width, heads = config.width, config.num_heads
    assert up.shard_shape((2, width, 4 * width)) == (2, width // 2, 2 * width)
    local_heads = heads // 2 if heads % 2 == 0 else heads
    assert qkv.shard_shape((2, width, 3, heads, 24)) == (2, width // 2, 3, local_heads, 24)


def test_rules_and_logical_axes_are_the_same_set():
    assert {name for name, _ in RULES} == set(LOGICAL_AXES)
    axes = {
        axis for _, rule in RULES if rule for axis in ([rule] if isinstance(rule, str) else rule)
    }
    assert axes <= set(meshes.AXES)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data=3,tensor=4", "needs 12 devices, but there are 8"),
        ("model=2", "'model' is unknown"),
        ("data:2", "write axes as data=2"),
        ("data=-1", "write axes as data=2"),
        ("data=0", "at least 1"),
        ("data=2,data=4", "twice"),
    ],
)
def test_a_mesh_that_does_not_fit_is_named(text, message):
    with pytest.raises(ValueError, match=message):
        meshes.make_mesh(meshes.parse_mesh(text))
