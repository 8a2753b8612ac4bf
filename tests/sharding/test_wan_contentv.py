# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The enhancer's and ContentV's transformers on meshes: equal outputs, and exchanges."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mugv_jax.compile import hlo
from mugv_jax.compile.collectives import collectives
from mugv_jax.nn.layers import unboxed
from mugv_jax.nn.mmdit.block import attend_jointly
from mugv_jax.nn.mmdit.model import MMDiT, MMDiTConfig
from mugv_jax.nn.quantize import abstract_quantized, quantized_paths
from mugv_jax.nn.wan.dit import WanDiTConfig
from mugv_jax.nn.wan.enhancer import EnhancerDiT
from mugv_jax.sharding import mesh as meshes
from mugv_jax.sharding.parallel import ParallelConfig, build_dit
from mugv_jax.sharding.place import batch_sharding, variable_shardings
from mugv_jax.sharding.sequence import JointMeshAttention
from mugv_jax.weights.random import random_variables
from mugv_jax.weights.registry import abstract_variables

SHARDED = 1e-5  # relative L2: the order of float32 sums differs
# Compiling is what takes time here.
QUICK = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
BATCH, TEXT = 2, 5
MODULES = {"contentv_dit": MMDiT, "wan_enhancer_dit": EnhancerDiT}
MESHES = {
    "ulysses": (8, {"sequence": 8}),
    "ulysses and tensor": (8, {"sequence": 4, "tensor": 2}),
    "ring and tensor": (6, {"sequence": 4, "tensor": 2}),  # 3 heads a device
    "ulysses, ring and fsdp": (6, {"sequence": 4, "fsdp": 2}),  # by 2 each
    "data, sequence and tensor": (8, {"data": 2, "sequence": 2, "tensor": 2}),
}


def config_of(kind, heads, head_dim=8):
    sizes = {"depth": 2, "num_heads": heads, "in_channels": 4, "out_channels": 4, "text_dim": 8}
    if kind == "contentv_dit":
        return MMDiTConfig(head_dim=head_dim, pooled_dim=8, **sizes)
    width = heads * head_dim
    return WanDiTConfig(width=width, mlp_dim=4 * width, text_tokens=TEXT + 1, **sizes)


def inputs(kind, latent=(3, 5, 5), *, clean=True):
    """Inputs of 27 tokens: on 8 devices, the last has only padding."""
    keys = jax.random.split(jax.random.key(0), 4)
    arrays = {
        "x": jax.random.normal(keys[0], (BATCH, *latent, 4)),
        "t": jnp.array([500.0, 900.0]),
        "text": jax.random.normal(keys[1], (BATCH, TEXT, 8)),
    }
    if kind == "contentv_dit":
        return arrays | {"pooled": jax.random.normal(keys[2], (BATCH, 8))}
    return arrays | ({"clean": jax.random.normal(keys[3], (BATCH, *latent, 4))} if clean else {})


@functools.cache
def velocity(kind, heads, sizes=(), *, clean=True, quantize=None):
    """Velocity on a mesh of `sizes`, fetched to the host."""
    mesh, config = meshes.make_mesh(dict(sizes)), config_of(kind, heads)
    module = build_dit(config, mesh, dtype=jnp.float32, module=MODULES[kind])
    boxed = abstract_variables(kind, config)
    shardings = variable_shardings(abstract_quantized(boxed, quantize), mesh)
    variables = random_variables(boxed, seed=1, shardings=shardings, quantize=quantize)
    with meshes.use(mesh), jax.default_matmul_precision("highest"):
        arrays = jax.device_put(inputs(kind, clean=clean), batch_sharding(mesh, BATCH))
        apply = jax.jit(module.apply, compiler_options=QUICK)
        return np.asarray(apply(variables, **arrays))


def distance(found, expected):
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


@pytest.mark.parametrize("kind", MODULES)
@pytest.mark.parametrize("name", MESHES)
def test_every_mesh_gives_the_output_of_one_device(kind, name):
    heads, sizes = MESHES[name]
    found = velocity(kind, heads, tuple(sizes.items()))
    assert distance(found, velocity(kind, heads)) <= SHARDED


def test_without_the_clean_video_too():
    case = functools.partial(velocity, "wan_enhancer_dit", 6, clean=False)
    assert distance(case((("sequence", 4), ("tensor", 2))), case()) <= SHARDED
    assert distance(case(), velocity("wan_enhancer_dit", 6)) > SHARDED


@pytest.mark.parametrize("kind", MODULES)
def test_8_bits_on_a_mesh_are_those_of_one_device(kind):
    sizes = (("fsdp", 2), ("sequence", 2), ("tensor", 2))
    expected = velocity(kind, 8, quantize="int8")
    assert distance(velocity(kind, 8, sizes, quantize="int8"), expected) <= SHARDED
    assert 1e-4 < distance(expected, velocity(kind, 8)) < 2e-2  # of rounded weights


def test_the_last_block_of_contentv_is_not_stacked_and_stays_wide():
    abstract = abstract_variables("contentv_dit", config_of("contentv_dit", 8))
    paths = quantized_paths(abstract, "int8")
    layers = ("modulation", "q", "k", "v", "out", "mlp/up", "mlp/down")
    assert set(paths) == {
        f"params/blocks/{stream}/{layer}/kernel" for stream in ("video", "text") for layer in layers
    }


LONG = (3, 32, 96)  # its tokens are larger than any of the weights; frames do not divide
TOKENS, TEXT_SLOTS, WIDTH, DEPTH = 2304, 8, 64, 2


@functools.cache
def exchanges(kind, method="ulysses"):
    """Exchanges of one forward pass of `LONG` on sequence=4, tensor=2."""
    config = config_of(kind, 8)
    parallel = ParallelConfig(sequence=4, tensor=2, sequence_method=method)
    mesh = parallel.make_mesh()
    module = build_dit(config, mesh, parallel, dtype=jnp.float32, module=MODULES[kind])
    boxed = abstract_variables(kind, config)
    variables = jax.tree.map(
        lambda leaf, place: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place),
        unboxed(boxed),
        variable_shardings(boxed, mesh),
    )
    arrays = jax.eval_shape(lambda: inputs(kind, LONG))
    with meshes.use(mesh):
        lowered = jax.jit(module.apply).lower(variables, **arrays)
    program = hlo.parse(lowered.compile(QUICK).as_text())
    return list(collectives(program, mesh.size))


@pytest.mark.parametrize("method", ["ulysses", "ring"])
@pytest.mark.parametrize("kind", MODULES)
def test_attention_moves_its_heads_and_nothing_gathers_the_video(kind, method):
    found = exchanges(kind, method)
    text = TEXT_SLOTS if kind == "contentv_dit" else 0  # travels with the video
    row = 4 * BATCH * WIDTH // 8  # bytes of a token's heads on a device
    if method == "ulysses":  # q, k, v and out, of which three quarters are other devices'
        travels, expected = "all-to-all", DEPTH * 4 * row * (TOKENS + text) * 3 / 4
        expected -= row * text * 3 / 4  # the last block's text has no output
    else:  # k and v, to each of four devices
        travels, expected = "collective-permute", DEPTH * 2 * row * (TOKENS + text) * 4
    assert sum(each.sent for each in found if each.kind == travels) == expected
    # Linear layers read the tokens of the two devices that split their outputs, never those of all.
    assert max(each.payload for each in found) <= 2 * row * (TOKENS + text)


def test_the_weights_of_modulation_stay_where_they_are():
    """They are a third of ContentV's weights and process one row per sample."""
    moved = [each for each in exchanges("contentv_dit") if "modulation" in each.source]
    assert {each.kind for each in moved} == {"all-reduce"}
    vectors = 12 * (DEPTH - 1) + 6 + 2 + 2  # of blocks, the last block's two streams, and the end
    assert sum(each.times * each.payload for each in moved) == 4 * BATCH * WIDTH * vectors


def test_a_norm_over_all_heads_sums_the_squares_of_its_devices():
    of_text = 4 * BATCH * (TEXT + 1) * WIDTH  # bytes of its keys, which XLA may gather
    moved = [
        each
        for each in exchanges("wan_enhancer_dit")
        if "_norm/" in each.source and each.payload > of_text
    ]
    assert {each.kind for each in moved} == {"all-reduce"}
    assert max(each.payload for each in moved) == 4 * BATCH * 2 * TOKENS // 4  # of q and k


@pytest.mark.parametrize("sizes", [{"sequence": 4, "tensor": 2}, {"sequence": 8}], ids=str)
def test_joint_attention_has_the_derivatives_of_one_device(sizes):
    """On a ring of 4, and on Ulysses by 2 with a ring of 4."""
    keys = jax.random.split(jax.random.key(0), 2)
    video, text = (
        tuple(jax.random.normal(key, (3, 1, tokens, 6, 4))) for key, tokens in zip(keys, (24, 8))
    )
    lengths = 17, 5

    def loss(attend, video, text):
        return sum(
            jnp.sum(jnp.sin(y[:, :valid]))
            for y, valid in zip(attend(video, text, lengths), lengths)
        )

    mesh = meshes.make_mesh(sizes)
    with meshes.use(mesh), jax.default_matmul_precision("highest"):
        found, expected = (
            jax.jit(jax.grad(functools.partial(loss, attend), (0, 1)), compiler_options=QUICK)(
                video, text
            )
            for attend in (JointMeshAttention(mesh), attend_jointly)
        )
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert distance(one, other) <= SHARDED


@pytest.mark.parametrize("kind", MODULES)
def test_a_model_built_again_is_equal_so_that_nothing_compiles_twice(kind):
    one, other = (
        build_dit(config_of(kind, 8), meshes.make_mesh({}), dtype=jnp.float32, module=MODULES[kind])
        for _ in range(2)
    )
    assert one == other
    assert hash(one) == hash(other)


@pytest.mark.parametrize("kind", MODULES)
def test_a_pipeline_is_refused(kind):
    parallel = ParallelConfig(pipeline=2)
    with pytest.raises(ValueError, match=r"pipeline=2: \w+ does not run in stages"):
        build_dit(
            config_of(kind, 8),
            parallel.make_mesh(),
            parallel,
            dtype=jnp.float32,
            module=MODULES[kind],
        )
