# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import collections

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from mugv_jax.nn.quantize import abstract_quantized, quantized, quantized_paths, scale_path
from mugv_jax.sharding.mesh import make_mesh
from mugv_jax.sharding.place import variable_shardings
from mugv_jax.weights import torch_files
from mugv_jax.weights.convert import convert
from mugv_jax.weights.load import load, read_config
from mugv_jax.weights.registry import abstract_variables
from tests.weights import checkpoints
from tests.weights.checkpoints import FOUR_HEADS


@pytest.fixture(params=["published", "orbax"])
def dit(request, tmp_path):
    path = checkpoints.save(tmp_path / "dit.pt", checkpoints.dit_tensors(FOUR_HEADS))
    if request.param == "published":
        return path
    convert(path, tmp_path / "orbax")
    return tmp_path / "orbax"


def sharded_by_name(mesh: jax.sharding.Mesh) -> dict:
    """Shardings with heads and MLP over "tensor" and the width of weights over "fsdp"."""
    boxed = abstract_variables("mugv_dit", FOUR_HEADS)
    rules = {"heads": "tensor", "mlp": "tensor", "embed": "fsdp"}
    return jax.tree.map(
        lambda leaf: NamedSharding(mesh, PartitionSpec(*map(rules.get, leaf.names))),
        boxed,
        is_leaf=lambda leaf: isinstance(leaf, nn.meta.AxisMetadata),
    )


def test_every_device_gets_its_own_shard_and_tensors_are_read_once(dit, monkeypatch):
    reads = collections.Counter()

    def read(source, name, original=torch_files.TorchSource.read):
        reads[name] += 1
        return original(source, name)

    monkeypatch.setattr(torch_files.TorchSource, "read", read)
    mesh = jax.make_mesh((4, 2), ("tensor", "fsdp"), axis_types=(AxisType.Auto,) * 2)
    shardings = sharded_by_name(mesh)
    config, variables = load(dit, "mugv_dit", shardings=shardings)
    assert config == FOUR_HEADS
    assert set(reads.values()) <= {1}
    _, whole = load(dit)
    checkpoints.assert_trees_identical(variables, whole)
    flat = traverse_util.flatten_dict(variables, sep="/")
    for path, sharding in traverse_util.flatten_dict(shardings, sep="/").items():
        assert flat[path].sharding == sharding, path
    kernel = flat["params/blocks/mlp/up/kernel"]
    width, mlp = FOUR_HEADS.width, FOUR_HEADS.mlp_dim
    assert len(kernel.addressable_shards) == 8
    for shard in kernel.addressable_shards:
        tensor, fsdp = np.argwhere(mesh.devices == shard.device)[0]
        rows = slice(fsdp * width // 2, (fsdp + 1) * width // 2)
        columns = slice(tensor * mlp // 4, (tensor + 1) * mlp // 4)
        expected = np.asarray(whole["params"]["blocks"]["mlp"]["up"]["kernel"])[:, rows, columns]
        np.testing.assert_array_equal(np.asarray(shard.data), expected)


def test_layers_may_be_sharded_too(dit):
    mesh = jax.make_mesh((3,), ("pipeline",), axis_types=(AxisType.Auto,))
    plain = nn.unbox(abstract_variables("mugv_dit", FOUR_HEADS))

    def by_layer(path, _):
        layered = path[1].key == "blocks"
        return NamedSharding(mesh, PartitionSpec("pipeline") if layered else PartitionSpec())

    shardings = jax.tree_util.tree_map_with_path(by_layer, plain)
    _, variables = load(dit, shardings=shardings)
    _, whole = load(dit)
    checkpoints.assert_trees_identical(variables, whole)
    kernel = variables["params"]["blocks"]["mlp"]["up"]["kernel"]
    assert {shard.data.shape[0] for shard in kernel.addressable_shards} == {1}


def test_params_are_cast_on_the_way_and_constants_are_not(tmp_path):
    tensors = checkpoints.golden_tensors("vae_tiny")
    path = checkpoints.save(tmp_path / "vae.pt", tensors)
    _, plain = load(path)
    _, cast = load(path, dtype=jnp.bfloat16)
    assert set(cast) == {"params", "constants"}  # unused tensors are not loaded
    expected = {
        "params": jax.tree.map(lambda x: x.astype(jnp.bfloat16), plain["params"]),
        "constants": plain["constants"],
    }
    checkpoints.assert_trees_identical(cast, expected)
    _, params = load(path, collections=("params",))
    assert set(params) == {"params"}


def test_the_config_is_read_without_tensors(dit):
    assert read_config(dit) == ("mugv_dit", FOUR_HEADS)
    with pytest.raises(ValueError, match=r"t5_encoder|not a T5"):
        read_config(dit, "t5_encoder")


@pytest.mark.parametrize("name", ["int8", "fp8", "int8-w8a8"])
def test_layers_are_quantised_as_they_are_read(dit, name):
    mesh = make_mesh({"tensor": 2, "fsdp": 2})
    boxed = abstract_quantized(abstract_variables("mugv_dit", FOUR_HEADS), name)
    shardings = variable_shardings(boxed, mesh)
    flat = traverse_util.flatten_dict(load(dit, shardings=shardings, quantize=name)[1], sep="/")
    whole = traverse_util.flatten_dict(load(dit)[1], sep="/")
    narrow = quantized_paths(abstract_variables("mugv_dit", FOUR_HEADS), name)
    for path, expected in whole.items():
        found = flat[path]
        if path in narrow:
            kernels, scales = quantized(expected, narrow[path])
            np.testing.assert_array_equal(found, kernels)
            found, expected = flat[scale_path(path, narrow[path])], scales
        np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert len(flat) == len(whole) + len(narrow)
    kernel = flat["params/blocks/mlp/up/kernel"]
    assert {shard.data.shape[-1] for shard in kernel.addressable_shards} == {kernel.shape[-1] // 2}
