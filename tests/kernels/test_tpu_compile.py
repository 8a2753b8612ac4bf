# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Every TPU kernel compiles for absent chips: width 3456, 48 heads of 72, bfloat16."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from mugv_jax.compile import hlo
from mugv_jax.compile.steps import slice_devices
from mugv_jax.compile.work import work_of
from mugv_jax.kernels.attention import attend
from mugv_jax.kernels.modulate import Modulation
from mugv_jax.sharding import mesh as meshes

TPU = Modulation("tpu")
TOKENS, WIDTH, GROUPS, HEADS, TEXT = 1003, 3456, 16, 48, 300
SLICES = ("v5p:2x2x1", "v6e:2x2")


@pytest.fixture(scope="module", params=SLICES)
def mesh(request):
    pytest.importorskip(
        "libtpu", reason="the compiler for TPU is not installed: pip install libtpu"
    )
    return Mesh(np.array(slice_devices(request.param)[:1]), ("data",))


def shapes(names):
    """Arguments of the operations, as shapes in bfloat16 (vectors and angles in float32)."""
    known = {
        "vector": ((1, GROUPS, WIDTH), jnp.float32),
        "tokens": ((1, TOKENS, WIDTH), jnp.bfloat16),
        "bias": ((WIDTH,), jnp.bfloat16),
        "group": ((TOKENS,), jnp.int32),
        "heads": ((1, TOKENS, HEADS, WIDTH // HEADS), jnp.bfloat16),
        "text": ((1, TEXT, HEADS, WIDTH // HEADS), jnp.bfloat16),
        "lengths": ((1,), jnp.int32),
        "scale": ((WIDTH // HEADS,), jnp.bfloat16),
        "angles": ((1, TOKENS, WIDTH // HEADS // 2), jnp.float32),
    }
    return [jax.ShapeDtypeStruct(*known[name]) for name in names.split()]


def kernels(mesh, function, arguments):
    """Names of the kernels in the compiled `function` and its derivative."""
    names = [x.dtype != jnp.int32 for x in arguments]

    def both(arguments, weights):
        def of_floats(floats):
            floats = iter(floats)
            return function(*(next(floats) if f else x for f, x in zip(names, arguments)))

        floats = [x for f, x in zip(names, arguments) if f]
        outputs, derivative = jax.vjp(of_floats, floats)
        return outputs, derivative(weights)

    place = NamedSharding(mesh, PartitionSpec())
    placed = lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place)  # noqa: E731
    with meshes.use(mesh):
        weights = jax.eval_shape(function, *arguments)
        lowered = jax.jit(both).lower(*jax.tree.map(placed, (arguments, weights)))
    return work_of(hlo.parse(lowered.compile().as_text())).kernels


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("norm_modulate", "tokens vector vector group"),
        ("gate_residual", "tokens tokens bias vector group"),
        ("gate_residual_norm_modulate", "tokens tokens bias vector vector vector group"),
        ("norm_rotate", "heads scale angles angles"),
    ],
)
def test_modulation_compiles_forward_and_backward(mesh, name, arguments):
    found = kernels(mesh, getattr(TPU, name), shapes(arguments))
    assert found == {name: 1, f"{name}_backward": 1}


def test_attention_compiles_forward_and_backward(mesh):
    found = kernels(mesh, attend, shapes("heads text text lengths"))
    assert found == {"attention_forward": 1, "attention_backward": 1}
