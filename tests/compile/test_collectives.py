# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from mugv_jax.compile import hlo
from mugv_jax.compile.collectives import collectives, sent_bytes
from mugv_jax.sharding import mesh as meshes

LAYERS = 5
LOCAL = (8, 64)
BYTES = 4 * 8 * 64  # size of one chip's array


def ring(x):
    return jax.lax.ppermute(x, "tensor", [(i, (i + 1) % 4) for i in range(4)])


# Kind -> (its function on a chip's array, bytes that each of the 4 chips sends).
EXCHANGES = {
    "all-gather": (
        lambda x: jnp.sum(jax.lax.all_gather(x, "tensor"), axis=0),
        3 * BYTES,
    ),
    "reduce-scatter": (
        lambda x: jnp.tile(jax.lax.psum_scatter(x, "tensor", tiled=True), (4, 1)),
        BYTES * 3 / 4,
    ),
    "all-reduce": (lambda x: jax.lax.psum(x, "tensor"), 2 * BYTES * 3 / 4),
    "all-to-all": (lambda x: jax.lax.all_to_all(x, "tensor", 0, 0, tiled=True), BYTES * 3 / 4),
    "collective-permute": (ring, BYTES),
}


@pytest.mark.parametrize("kind", EXCHANGES)
def test_bytes_of_every_kind_are_those_of_all_layers(kind):
    exchange, sent = EXCHANGES[kind]
    mesh = meshes.make_mesh({"data": 2, "tensor": 4})

    @functools.partial(
        jax.shard_map,
        mesh=mesh,
        in_specs=PartitionSpec(("data", "tensor")),
        out_specs=PartitionSpec(("data", "tensor")),
        check_vma=False,
    )
    def layers(x):
        return jax.lax.scan(lambda x, _: (jnp.sin(exchange(x)), None), x, length=LAYERS)[0]

    x = jnp.zeros((8 * LOCAL[0], LOCAL[1]))
    program = hlo.parse(jax.jit(layers).lower(x).compile().as_text())
    found = list(collectives(program, mesh.size))
    assert {each.kind for each in found} == {kind}
    assert sum(each.sent for each in found) == LAYERS * sent
    chips = {frozenset(group) for each in found for group in each.groups.tolist()}
    if kind != "collective-permute":
        assert chips == {frozenset(range(4)), frozenset(range(4, 8))}


@pytest.mark.parametrize(
    ("kind", "arrays", "sent"),
    [
        ("all-gather", "(f32[2], bf16[2]), (f32[8], bf16[8])", 6 * (4 + 2)),
        ("all-to-all", "(f32[8]), f32[8]", 6 * 4),
        ("reduce-scatter", "(f32[8], bf16[8]), (f32[2], bf16[2])", 6 * (4 + 2)),
        ("all-reduce", "f32[8], bf16[8]", 2 * 6 * (4 + 2)),
    ],
)
def test_results_of_exchanges_between_gpus_are_not_counted_with_their_operands(kind, arrays, sent):
    line = f"  %x = ({arrays}) {kind}-start(%a), channel_id=1, replica_groups={{{{0,1,2,3}}}}"
    program = hlo.parse(f"ENTRY %main () -> f32[] {{\n{line}\n}}\n")
    assert sent_bytes(collectives(program, 4)) == {kind: sent}


def groups_of(notation):
    line = f"  %x = f32[4]{{0}} all-gather(%a), channel_id=1, {notation}, dimensions={{0}}"
    program = hlo.parse(f"ENTRY %main () -> f32[] {{\n{line}\n}}\n")
    return next(collectives(program, 8)).groups.tolist()


@pytest.mark.parametrize(
    ("notation", "expected"),
    [
        ("replica_groups={{0,2},{1,3}}", [[0, 2], [1, 3]]),
        ("replica_groups={}", [list(range(8))]),
        ("replica_groups=[2,4]<=[8]", [[0, 1, 2, 3], [4, 5, 6, 7]]),
        ("replica_groups=[2,4]<=[4,2]T(1,0)", [[0, 2, 4, 6], [1, 3, 5, 7]]),
        ("replica_groups=mesh['a'=4,'b'=2] {'a'}", [[0, 2, 4, 6], [1, 3, 5, 7]]),
        ("replica_groups=mesh['a'=2,'b'=2,'c'=2] {'a','c'}", [[0, 1, 4, 5], [2, 3, 6, 7]]),
        (
            "replica_groups=mesh['a'=2,'b'=4], device_ids=([4,2]T(1,0)) {'b'}",
            [[0, 2, 4, 6], [1, 3, 5, 7]],
        ),
    ],
)
def test_every_notation_of_groups(notation, expected):
    assert groups_of(notation) == expected


def test_groups_of_an_unknown_form_are_refused():
    with pytest.raises(ValueError, match="unknown form"):
        groups_of("replica_groups=everyone")
    with pytest.raises(ValueError, match="part of a mesh axis"):
        groups_of("replica_groups=mesh['a'=8] {'a':(1)2}")


def test_a_permutation_that_moves_nothing_is_no_exchange():
    line = "  %x = f32[4]{0} collective-permute(%a), source_target_pairs={{0,0},{1,1}}"
    program = hlo.parse(f"ENTRY %main () -> f32[] {{\n{line}\n}}\n")
    assert list(collectives(program, 8)) == []


def test_a_start_is_asynchronous_and_counts_its_result():
    line = (
        "  %x = (bf16[2,8]{1,0}, bf16[8,8]{1,0}) all-gather-start(%a), "
        "replica_groups=[2,4]<=[8], dimensions={0}"
    )
    program = hlo.parse(f"ENTRY %main () -> f32[] {{\n{line}\n}}\n")
    (found,) = collectives(program, 8)
    assert found.asynchronous
    assert found.payload == 2 * 8 * 8
    assert found.sent == 2 * 8 * 8 * 3 / 4
    assert np.shape(found.groups) == (2, 4)
