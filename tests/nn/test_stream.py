# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Layers in the host's memory: the same numbers, and only their slices come to the device."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mugv_jax.nn.mugdit.model import MugDiT
from mugv_jax.nn.quantize import abstract_quantized
from mugv_jax.nn.stream import HOST, in_host_memory
from mugv_jax.sharding import mesh as meshes
from mugv_jax.sharding.parallel import build_dit
from mugv_jax.sharding.place import variable_shardings
from mugv_jax.weights.random import random_variables
from mugv_jax.weights.registry import abstract_variables
from tests.nn.test_quantize import DIT, dit_inputs


@pytest.mark.parametrize("quantize", [None, "int8"])
@pytest.mark.parametrize("sizes", [None, {"fsdp": 2, "sequence": 2, "tensor": 2}])
def test_layers_in_the_hosts_memory_give_the_same_numbers(quantize, sizes):
    boxed, mesh = abstract_variables("mugv_dit", DIT), meshes.make_mesh(sizes)
    call, options = dit_inputs(batch=2)
    shardings = variable_shardings(abstract_quantized(boxed, quantize), mesh)
    dit = build_dit(DIT, mesh, module=MugDiT, dtype=jnp.float32)
    outputs = []
    for places in (shardings, in_host_memory(shardings)):
        variables = random_variables(boxed, 1, shardings=places, quantize=quantize)
        with meshes.use(mesh):
            run = jax.jit(dit.apply)
            outputs.append(np.asarray(run(variables, *call, **options)))
            moved = str(jax.make_jaxpr(dit.apply)(variables, *call, **options)).count("device_put")
    assert moved == len(jax.tree.leaves(variables["params"]["blocks"]))
    kinds = {leaf.sharding.memory_kind for leaf in jax.tree.leaves(variables["params"]["blocks"])}
    assert kinds == {HOST}
    assert variables["params"]["patch_embed"]["kernel"].sharding.memory_kind != HOST
    np.testing.assert_array_equal(*outputs)
