# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Loss and gradients of a training step on every kind of mesh equal those of one device."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from mugv_jax.nn.mugdit.model import MugDiT
from mugv_jax.nn.mugdit.sizes import DiTConfig
from mugv_jax.nn.mugdit.text import TextReader
from mugv_jax.sharding import mesh as meshes
from mugv_jax.sharding.parallel import ParallelConfig, build_dit, check_batch
from mugv_jax.sharding.pipeline import Pipeline
from mugv_jax.sharding.place import local_shards, place_batch, variable_shardings
from mugv_jax.weights.random import random_variables
from mugv_jax.weights.registry import abstract_variables

SHARDED = 1e-5  # relative L2 of loss and gradients: the order of float32 sums differs
# Compiling is what takes time here.
QUICK = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
CONFIG = DiTConfig(depth=2, width=24, num_heads=2, in_channels=4, text_dim=8)


def batch(samples=4):
    """Batch of 27 tokens, which no axis divides, with texts of several lengths, one empty."""
    keys = jax.random.split(jax.random.key(0), 3)
    lengths = np.arange(samples)[:, None] % 5
    latent = (samples, 1, 9, 9, 4)
    return {
        "x": np.asarray(jax.random.normal(keys[0], latent)),
        "t": np.full((samples, 1), 500.0, np.float32),
        "text": np.asarray(jax.random.normal(keys[1], (samples, 5, 8))),
        "text_mask": np.arange(5)[None] < lengths,
        "fps": np.full((samples,), 24.0, np.float32),
        "frame_index": np.tile(np.arange(3, dtype=np.int32), (samples, 1)),
        "target": np.asarray(jax.random.normal(keys[2], latent)),
    }


def loss_and_gradients(parallel, remat="none"):
    """Loss and gradients computed on a mesh, fetched to the host."""
    sizes = (parallel.data, parallel.fsdp, parallel.sequence, parallel.tensor, parallel.pipeline)
    mesh = parallel.make_mesh(jax.devices()[: np.prod(sizes)])
    module = build_dit(CONFIG, mesh, parallel, module=MugDiT, dtype=jnp.float32, remat=remat)
    boxed = abstract_variables("mugv_dit", CONFIG)
    shardings = variable_shardings(boxed, mesh)
    variables = random_variables(boxed, seed=1, shardings=shardings)

    def loss(variables, batch):
        batch = dict(batch)
        target = batch.pop("target")
        return jnp.mean(jnp.square(module.apply(variables, **batch) - target))

    with meshes.use(mesh), jax.default_matmul_precision("highest"):
        step = jax.jit(
            jax.value_and_grad(loss), out_shardings=(None, shardings), compiler_options=QUICK
        )
        return jax.tree.map(np.asarray, step(variables, place_batch(batch(), mesh)))


def distance(found, expected):
    """Relative L2 of all leaves together."""
    found, expected = (ravel_pytree(tree)[0] for tree in (found, expected))
    return float(jnp.linalg.norm(found - expected) / jnp.linalg.norm(expected))


@pytest.fixture(scope="module")
def one_device():
    return loss_and_gradients(ParallelConfig(data=1))


@pytest.mark.parametrize(
    "fields",
    [
        {"data": 2, "fsdp": 2},
        {"sequence": 4, "tensor": 2},  # Ulysses has no head left: a ring
        {"fsdp": 2, "sequence": 4},  # Ulysses by 2, ring by 2
        {"tensor": 2, "remat": "dots"},
        {"pipeline": 2, "data": 2},
        {"pipeline": 2, "microbatches": 4, "tensor": 2},
        {"pipeline": 2, "microbatches": 2, "sequence": 4, "remat": "full"},
    ],
    ids=str,
)
def test_every_mesh_has_the_loss_and_gradients_of_one_device(one_device, fields):
    fields = {"data": 1} | fields
    found = loss_and_gradients(remat=fields.pop("remat", "none"), parallel=ParallelConfig(**fields))
    assert distance(found[0], one_device[0]) <= SHARDED
    assert distance(found[1], one_device[1]) <= SHARDED


@pytest.mark.parametrize(
    "fields", [{"pipeline": 2, "microbatches": 2, "tensor": 2}, {"fsdp": 2, "sequence": 2}], ids=str
)
def test_a_text_read_once_serves_every_mesh(fields):
    arrays = batch()
    del arrays["target"]
    expected = forward(ParallelConfig(data=1), dict(arrays), read=False)
    found = forward(ParallelConfig(**{"data": 1} | fields), dict(arrays), read=True)
    assert distance(found, expected) <= SHARDED


def forward(parallel, arrays, *, read):
    """The velocity, brought back; `read`: of keys and values that were computed before."""
    sizes = (parallel.data, parallel.fsdp, parallel.sequence, parallel.tensor, parallel.pipeline)
    mesh = parallel.make_mesh(jax.devices()[: np.prod(sizes)])
    module = build_dit(CONFIG, mesh, parallel, module=MugDiT, dtype=jnp.float32)
    boxed = abstract_variables("mugv_dit", CONFIG)
    variables = random_variables(boxed, seed=1, shardings=variable_shardings(boxed, mesh))
    with meshes.use(mesh), jax.default_matmul_precision("highest"):
        arrays = place_batch(arrays, mesh)
        if read:
            states = arrays.pop("text"), arrays.pop("text_mask")
            reader = TextReader(CONFIG, jnp.float32)
            arrays["text"] = jax.jit(reader.apply, compiler_options=QUICK)(variables, *states)
        apply = jax.jit(module.apply, compiler_options=QUICK)
        return np.asarray(apply(variables, **arrays))


def test_the_bubble_shrinks_with_more_microbatches():
    assert Pipeline(4, 1).bubble == 0.75
    assert Pipeline(4, 12).bubble == 0.2


def test_data_takes_the_devices_that_are_left():
    assert ParallelConfig(tensor=2, pipeline=2).make_mesh().shape["data"] == 2
    assert ParallelConfig(tensor=8).sizes(8)["data"] == 1


def test_a_batch_goes_to_the_shards_of_its_process():
    mesh = ParallelConfig(fsdp=2, tensor=2).make_mesh()
    assert local_shards(mesh) == (0, 1, 2, 3)
    rows = np.arange(8)
    placed = place_batch({"row": rows}, mesh)["row"]
    np.testing.assert_array_equal(placed, rows)
    assert {shard.data.shape for shard in placed.addressable_shards} == {(2,)}
    with pytest.raises(ValueError, match="6 rows do not divide over the 4 data shards"):
        place_batch({"row": rows[:6]}, mesh)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"tensor": 0}, "tensor=0 must be at least 1"),
        ({"data": 0}, "data=0 must be at least 1, or None"),
        ({"sequence_method": "rings"}, "sequence_method='rings' must be one of auto"),
        ({"microbatches": 4}, "pipeline=1"),
        ({"tensor": 3}, "needs a multiple of 3 devices, but there are 8"),
        ({"data": 2, "tensor": 2}, "needs 4 devices, but there are 8"),
        ({"tensor": 16}, "needs a multiple of 16 devices"),
        ({"tensor": 4}, "num_heads=2 does not divide over tensor=4"),
        ({"pipeline": 8}, "depth=2 does not divide into pipeline=8"),
        ({"sequence": 4, "sequence_method": "ulysses"}, "choose sequence_method='auto'"),
    ],
)
def test_a_parallelism_that_cannot_be_is_named(fields, message):
    def build():
        parallel = ParallelConfig(**fields)
        return build_dit(CONFIG, parallel.make_mesh(), parallel, module=MugDiT, dtype=jnp.float32)

    with pytest.raises(ValueError, match=message):
        build()


def test_a_batch_that_does_not_divide_is_named():
    parallel = ParallelConfig(pipeline=2, fsdp=2, microbatches=3)
    mesh = parallel.make_mesh()
    check_batch(12, mesh, parallel)
    with pytest.raises(ValueError, match="a batch of 8 does not divide over data=2 x fsdp=2"):
        check_batch(8, mesh, parallel)
