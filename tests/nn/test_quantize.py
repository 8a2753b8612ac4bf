# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util

from mugv_jax.nn import quantize
from mugv_jax.nn.mugdit.model import MugDiT
from mugv_jax.nn.mugdit.sizes import DiTConfig
from mugv_jax.nn.quantize import (
    DTYPES,
    GROUP,
    NAMES,
    Rounding,
    abstract_quantized,
    check_quantize,
    dequantized,
    product,
    quantize_of,
    quantized,
    quantized_paths,
    scale_shape,
)
from mugv_jax.nn.text.t5 import T5Config, T5Encoder
from mugv_jax.sharding import mesh as meshes
from mugv_jax.sharding.parallel import build_dit
from mugv_jax.sharding.place import variable_shardings
from mugv_jax.weights.random import random_variables
from mugv_jax.weights.registry import abstract_variables

DIT = DiTConfig(depth=4, width=288, num_heads=4, text_dim=32)
T5 = T5Config(vocab_size=64, width=256, head_dim=32, mlp_dim=640, depth=3, num_heads=8)
# Of normally distributed weights: half a step of 127 against their spread; 3 bits of mantissa.
WEIGHTS = {"int8": 9e-3, "fp8": 3e-2}
OUTPUT = {"int8": 1e-2, "fp8": 4e-2, "int8-w8a8": 2e-2, "fp8-w8a8": 6e-2}  # float32 arithmetic
TEXT_OUTPUT = 2e-2  # of the golden case, bfloat16 alone takes 1.8e-2


def relative_l2(x, reference):
    x, reference = (np.asarray(array, np.float64) for array in (x, reference))
    return np.linalg.norm(x - reference) / np.linalg.norm(reference)


@pytest.mark.parametrize("name", DTYPES)
@pytest.mark.parametrize("shape", [(3, 256, 40), (2, 96, 3, 4, 6), (2, 4, 6, 96)])
def test_a_kernel_comes_back(name, shape):
    kernels = jax.random.normal(jax.random.key(0), shape)
    narrow, scales = quantized(kernels, Rounding(DTYPES[name]))
    assert narrow.dtype.itemsize == 1
    assert scales.shape == scale_shape(shape)
    back = jax.vmap(lambda kernel, scale: dequantized(kernel, scale, jnp.float32))(narrow, scales)
    assert relative_l2(back, kernels) < WEIGHTS[name]
    # A layer of tiny weights beside others is as exact: no scale is shared between layers.
    tiny, tiny_scales = quantized(kernels.at[0].multiply(2.0**-10), Rounding(DTYPES[name]))
    assert relative_l2(dequantized(tiny[0], tiny_scales[0], jnp.float32) * 2**10, back[0]) < 1e-6


def test_groups_are_small_and_a_power_of_two_of_them():
    for first in (24, 96, 288, 1152, 3456, 4096, 10240, 13824):
        _, groups, _ = scale_shape((2, first, 5))
        assert first % groups == 0
        assert first // groups <= GROUP
        assert groups.bit_count() == 1


def test_the_kernels_of_stacked_layers_are_quantised_and_nothing_else():
    abstract = abstract_variables("mugv_dit", DIT)
    blocks = "params/blocks"
    assert set(quantized_paths(abstract, "int8")) == {
        f"{blocks}/{layer}/kernel"
        for layer in (
            *("self_attention/qkv", "self_attention/out"),
            *("cross_attention/q", "cross_attention/kv", "cross_attention/out"),
            *("mlp/up", "mlp/down"),
        )
    }
    assert quantized_paths(abstract, None) == {}
    rounded = quantized_paths(abstract, "int8-w8a8")
    two = {path for path, rounding in rounded.items() if rounding.contracted == 2}
    assert two == {f"{blocks}/{name}_attention/out/kernel" for name in ("self", "cross")}
    assert {rounding.contracted for rounding in rounded.values()} == {1, 2}
    # A text encoder has outliers, and runs once.
    assert quantize_of("t5_encoder", "int8-w8a8") == "int8"
    assert quantize_of("mugv_dit", "int8-w8a8") == "int8-w8a8"
    before, after = (
        traverse_util.flatten_dict(tree, sep="/")
        for tree in (abstract, abstract_quantized(abstract, "int8"))
    )
    added = after.keys() - before.keys()
    assert added == {f"{path}_scale" for path in quantized_paths(abstract, "int8")}
    assert not before.keys() - after.keys()


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="quantize='int4' must be one of int8, fp8"):
        check_quantize("int4")


@pytest.mark.parametrize(("shape", "contracted"), [((2, 96, 3, 4, 6), 1), ((2, 4, 24, 96), 2)])
@pytest.mark.parametrize("name", DTYPES)
def test_a_product_in_8_bits_is_that_of_what_was_rounded(name, shape, contracted, monkeypatch):
    """Every token and every output has a scale of its own, however different they are."""
    rounding = Rounding(DTYPES[name], contracted)
    kernels = jax.random.normal(jax.random.key(0), shape).at[..., 0].multiply(1e3)
    narrow, scales = quantized(kernels, rounding)
    x = jax.random.normal(jax.random.key(1), (2, 50, *shape[1 : 1 + contracted]))
    x = x.at[:, 7].multiply(1e-3)
    run = jax.jit(functools.partial(product, contracted=contracted, dtype=jnp.float32))
    found = run(x, narrow[1], scales[1])
    x_2d, kernel_2d = (
        np.asarray(each, np.float64).reshape(-1, size)
        for each, size in ((x, 96), (kernels[1].reshape(96, -1).T, 96))
    )
    found_2d, expected = np.asarray(found).reshape(100, -1), x_2d @ kernel_2d.T
    norms = [np.linalg.norm(each, axis=1) for each in (x_2d, kernel_2d)]
    error = (found_2d - expected) / np.outer(*norms) * 96**0.5
    for axis in (0, 1):
        assert np.all(np.sqrt(np.mean(error**2, axis=axis)) < 2 * WEIGHTS[name])
    # 8-bit numbers are multiplied, not what they stand for.
    (dot,) = [e for e in jax.make_jaxpr(run)(x, narrow[1], scales[1]).jaxpr.eqns[0]
              .params["jaxpr"].eqns if e.primitive.name == "dot_general"]  # fmt: skip
    assert {each.aval.dtype for each in dot.invars} == {jnp.dtype(DTYPES[name])}
    # Part by part, the last of which overlaps the one before.
    monkeypatch.setattr(quantize, "ROWS", 30)
    parts = functools.partial(product, contracted=contracted, dtype=jnp.bfloat16)
    in_parts = jax.jit(parts)(x, narrow[1], scales[1])
    np.testing.assert_array_equal(in_parts, found.astype(jnp.bfloat16))


def dit_inputs(batch=1):
    keys = jax.random.split(jax.random.key(0), 2)
    call = (
        jax.random.normal(keys[0], (batch, 2, 8, 8, 24)),
        jnp.full((batch, 2), 500.0),
        jax.random.normal(keys[1], (batch, 5, DIT.text_dim)),
    )
    return call, {
        "text_mask": jnp.ones((batch, 5), bool),
        "fps": jnp.full((batch,), 30.0),
        "frame_index": jnp.tile(jnp.arange(4), (batch, 1)),
    }


def test_the_transformer_makes_of_8_bits_what_it_makes_of_32():
    boxed = abstract_variables("mugv_dit", DIT)
    call, options = dit_inputs()
    run = jax.jit(MugDiT(DIT).apply)
    exact = run(random_variables(boxed, seed=1), *call, **options)
    for name in NAMES:
        found = run(random_variables(boxed, seed=1, quantize=name), *call, **options)
        assert 1e-4 < relative_l2(found, exact) < OUTPUT[name]


@pytest.mark.parametrize("name", ["int8", "int8-w8a8"])
def test_8_bits_on_a_mesh_are_those_of_one_device(name):
    boxed = abstract_variables("mugv_dit", DIT)
    call, options = dit_inputs(batch=2)
    outputs = []
    for sizes in (None, {"fsdp": 2, "sequence": 2, "tensor": 2}):
        mesh = meshes.make_mesh(sizes)
        shardings = variable_shardings(abstract_quantized(boxed, name), mesh)
        variables = random_variables(boxed, seed=1, shardings=shardings, quantize=name)
        kernel = variables["params"]["blocks"]["mlp"]["up"]["kernel"]
        assert kernel.addressable_shards[0].data.size == kernel.size // mesh.size
        dit = build_dit(DIT, mesh, module=MugDiT, dtype=jnp.float32)
        with meshes.use(mesh):
            outputs.append(np.asarray(jax.jit(dit.apply)(variables, *call, **options)))
    # A sum in another order may round an activation to its other neighbour, as any change of 1e-6
    # does on one device.
    assert relative_l2(outputs[1], outputs[0]) < (1e-2 if name.endswith("w8a8") else 1e-5)


def test_the_text_encoder_makes_of_8_bits_what_it_makes_of_32():
    boxed = abstract_variables("t5_encoder", T5)
    ids = jnp.arange(10)[None]
    run = jax.jit(T5Encoder(T5, jnp.float32).apply)
    outputs = []
    for name in (None, "int8"):
        variables = random_variables(boxed, seed=1, quantize=name)
        variables["params"]["token_embed"] *= T5.vocab_size**0.5  # unit variance, as T5 starts
        outputs.append(run(variables, ids, jnp.ones((1, 10), bool)))
    assert 1e-4 < relative_l2(outputs[1], outputs[0]) < TEXT_OUTPUT


@pytest.mark.parametrize("name", DTYPES)
def test_one_layer_at_a_time_is_widened(name):
    """Otherwise the program would hold a float32 copy of all layers."""
    ids = (
        jax.ShapeDtypeStruct((1, 10), jnp.int32),
        jax.ShapeDtypeStruct((1, 10), jnp.bool_),
    )
    config = T5Config(vocab_size=64, width=256, head_dim=32, mlp_dim=640, depth=24, num_heads=8)
    boxed = abstract_quantized(abstract_variables("t5_encoder", config), name)
    abstract = jax.tree.map(lambda leaf: leaf.value, boxed, is_leaf=lambda x: hasattr(x, "names"))
    run = jax.jit(T5Encoder(config, jnp.float32).apply)
    found = run.lower(abstract, *ids).compile().memory_analysis()
    one_layer = 4 * (4 * 256 * 256 + 3 * 256 * 640)
    assert found.temp_size_in_bytes < 3 * one_layer
