# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Low-rank updates in the enhancer's published format, compared with float64 on its tensors."""

import functools
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.torch
import torch
from flax import traverse_util

from mugv_jax import cli
from mugv_jax.golden import recipe
from mugv_jax.golden.cases import RecipeSource
from mugv_jax.nn.lora import abstract_lora
from mugv_jax.nn.quantize import Rounding, quantized, scale_path
from mugv_jax.nn.wan.dit import WanDiTConfig
from mugv_jax.sharding.mesh import make_mesh
from mugv_jax.sharding.place import variable_shardings
from mugv_jax.weights.adapter_files import read_adapter
from mugv_jax.weights.adapters import open_adapter
from mugv_jax.weights.check import published_shapes
from mugv_jax.weights.convert import convert
from mugv_jax.weights.load import load
from mugv_jax.weights.registry import MODELS, abstract_variables
from tests.weights import checkpoints

KIND = "wan_enhancer_dit"
MODEL = MODELS[KIND]
FILE = "pytorch_model.bin"
CONFIG = WanDiTConfig(
    depth=2, width=12, mlp_dim=20, num_heads=1, in_channels=4, out_channels=4, text_dim=8
)
RANK, ALPHA = 3, 6.0
UPDATED = tuple(
    f"blocks.{block}.{layer}"
    for block in range(CONFIG.depth)
    for layer in ("self_attn.q", "self_attn.v", "self_attn.o", "cross_attn.k", "ffn.0", "ffn.2")
)
# Tensors that replace the model's own: of one layer, the other, both, and outside of layers.
OVERRIDES = (
    "blocks.0.ffn.0.bias", "blocks.1.modulation", "blocks.0.self_attn.q.weight",
    "blocks.0.cross_attn.k.bias", "blocks.1.cross_attn.k.bias", "patch_embedding2.weight",
)  # fmt: skip
ROUNDING = 1e-6  # float32, a few operations
MERGED = 2e-6  # x (W + A B) against x W + (x A) B, through a whole model
QUANTIZED = 0.02  # error of int8 kernels, 1% each, through a whole model
LAYER_A, LAYER_B = (f"pipe.dit.{{}}.lora_{factor}.default.weight" for factor in "AB")


@functools.cache
def model_shapes():
    return published_shapes(MODEL, CONFIG)


def factor_shapes(rank=RANK):
    shapes = {}
    for layer in UPDATED:
        outputs, inputs = model_shapes()[f"{layer}.weight"]
        shapes |= {LAYER_A.format(layer): (rank, inputs), LAYER_B.format(layer): (outputs, rank)}
    return shapes


def file_shapes():
    return factor_shapes() | {f"pipe.dit.{name}": model_shapes()[name] for name in OVERRIDES}


def tensors(shapes):
    return {name: torch.from_numpy(recipe(name, tuple(shape))) for name, shape in shapes.items()}


def updated(scale=ALPHA / RANK):
    """The checkpoint with its updates and overrides, computed in float64."""
    base, file = tensors(model_shapes()), tensors(file_shapes())
    out = base | {name: file[f"pipe.dit.{name}"] for name in OVERRIDES}
    for layer in UPDATED:
        a, b = (file[name.format(layer)].double() for name in (LAYER_A, LAYER_B))
        out[f"{layer}.weight"] = (out[f"{layer}.weight"].double() + scale * b @ a).float()
    return out


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Folder of base.pt, the updates in both formats, and the expected result of merging them."""
    path = tmp_path_factory.mktemp("enhancer")
    file = tensors(file_shapes())
    checkpoints.save(path / "base.pt", tensors(model_shapes()))
    checkpoints.save(path / FILE, file)
    checkpoints.save(path / "updated.pt", updated())
    safetensors.torch.save_file(file, path / "lora.safetensors")
    return path


def flat_load(path, **options):
    return traverse_util.flatten_dict(load(path, KIND, **options)[1], sep="/")


def with_lora(folder, **options):
    return flat_load(folder / "base.pt", lora=folder, lora_alpha=ALPHA, **options)


@pytest.fixture(scope="module")
def beside(folder):
    """Variables by path, with updates beside the weights."""
    return with_lora(folder, lora_merged=False)


@pytest.mark.parametrize("name", [".", FILE, "lora.safetensors"])
def test_a_checkpoint_is_converted_with_updates_and_overrides(folder, tmp_path, name):
    words = ["convert", folder / "base.pt", tmp_path / "out.pt", "--lora", folder / name]
    assert cli.main([*map(str, words), "--lora-alpha", str(ALPHA)]) == 0
    found, expected = checkpoints.read(tmp_path / "out.pt"), updated()
    kernels = {f"{layer}.weight" for layer in UPDATED}
    for weight in kernels:
        np.testing.assert_allclose(found.pop(weight), expected.pop(weight), ROUNDING, ROUNDING)
    checkpoints.assert_identical(found, expected)


def test_updates_merge_into_an_orbax_checkpoint(folder, tmp_path):
    convert(folder / "base.pt", tmp_path / "base")
    merged = {"lora": folder, "lora_alpha": ALPHA}
    convert(folder / "base.pt", tmp_path / "expected.pt", **merged)
    convert(tmp_path / "base", tmp_path / "found.pt", **merged)
    convert(folder / "base.pt", tmp_path / "merged", **merged)
    convert(tmp_path / "merged", tmp_path / "again.pt")
    expected = checkpoints.read(tmp_path / "expected.pt")
    for name in ("found.pt", "again.pt"):
        checkpoints.assert_identical(checkpoints.read(tmp_path / name), expected)


@pytest.fixture(scope="module")
def output():
    """Function from variables by path to the velocity."""
    generator = np.random.default_rng(0)
    x, clean = generator.standard_normal((2, 1, 2, 2, 4, CONFIG.in_channels), np.float32)
    text = generator.standard_normal((1, 5, CONFIG.text_dim), np.float32)
    apply = jax.jit(MODEL.build(CONFIG, np.float32).apply)
    t = np.full(1, 300, np.float32)
    return lambda flat: apply(traverse_util.unflatten_dict(flat, sep="/"), x, t, text, clean)


def relative(found, expected):
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


def test_updates_beside_the_weights_compute_the_same_as_merged_ones(folder, beside, output):
    expected = output(flat_load(folder / "updated.pt"))
    assert relative(output(flat_load(folder / "base.pt")), expected) > 0.1
    assert relative(output(with_lora(folder)), expected) < MERGED
    assert relative(output(beside), expected) < MERGED
    params = {name: x for name, x in beside.items() if not name.startswith("lora/")}
    assert len(beside) - len(params) == 2 * len(UPDATED) // CONFIG.depth
    plain = checkpoints.save(folder / "plain.pt", updated(scale=0))
    checkpoints.assert_trees_identical(params, flat_load(plain))
    zeros = {name: 0 * x if name.endswith("/b") else x for name, x in beside.items()}
    assert relative(output(zeros), output(params)) < MERGED


def test_updates_stay_beside_8_bit_weights(folder, beside, output):
    narrow = with_lora(folder, lora_merged=False, quantize="int8")
    for name in (name for name in beside if name.startswith("lora/")):
        np.testing.assert_array_equal(narrow[name], beside[name])
    path = "params/blocks/mlp/up/kernel"
    np.testing.assert_array_equal(narrow[path], quantized(beside[path], Rounding(jnp.int8))[0])
    assert relative(output(narrow), output(beside)) < QUANTIZED


def test_merged_updates_are_added_before_weights_are_quantised(folder):
    path = "params/blocks/mlp/up/kernel"
    wide, narrow = (with_lora(folder, quantize=quantize) for quantize in (None, "int8"))
    kernels, scales = quantized(wide[path], Rounding(jnp.int8))
    np.testing.assert_array_equal(narrow[path], kernels)
    np.testing.assert_allclose(narrow[scale_path(path, Rounding(jnp.int8))], scales, rtol=ROUNDING)


def test_factors_are_placed_and_cast_like_weights(folder):
    abstract = abstract_variables(KIND, CONFIG)
    lora = open_adapter(folder, MODEL, CONFIG, alpha=ALPHA).lora
    assert (lora.rank, lora.alpha) == (RANK, ALPHA)
    mesh = make_mesh({"fsdp": 2, "tensor": 2})
    boxed = {**abstract, "lora": abstract_lora(abstract["params"], lora)}
    shardings = variable_shardings(boxed, mesh)
    options = {"lora_merged": False, "dtype": jnp.bfloat16}
    found = with_lora(folder, shardings=shardings, **options)
    checkpoints.assert_trees_identical(found, with_lora(folder, **options))
    flat = traverse_util.flatten_dict(shardings, sep="/")
    assert {name: x.sharding for name, x in found.items()} == flat
    a, b = (found[f"lora/blocks/mlp/up/{factor}"] for factor in "ab")
    width, mlp = CONFIG.width, CONFIG.mlp_dim
    assert a.addressable_shards[0].data.shape == (CONFIG.depth, width // 2, RANK)
    assert b.addressable_shards[0].data.shape == (CONFIG.depth, RANK, mlp // 2)
    ours = recipe(LAYER_B.format("blocks.1.ffn.0"), (mlp, RANK)).T * np.float32(ALPHA / RANK)
    np.testing.assert_array_equal(b[1], ours.astype(jnp.bfloat16))


def test_scale_applies_to_updates_only(folder, beside, tmp_path):
    negative_zeros = {name: x * 0 * -1 for name, x in tensors(model_shapes()).items()}
    base = checkpoints.save(tmp_path / "zeros.pt", negative_zeros)
    options = {"lora": folder, "lora_alpha": ALPHA}
    plain = negative_zeros | {name: x for name, x in updated(scale=0).items() if name in OVERRIDES}
    expected = flat_load(checkpoints.save(tmp_path / "plain.pt", plain))
    checkpoints.assert_trees_identical(flat_load(base, lora_scale=0, **options), expected)
    double = with_lora(folder, lora_scale=2, lora_merged=False)
    for name, x in beside.items():
        times = 2 if re.fullmatch("lora/.*/b", name) else 1
        np.testing.assert_array_equal(double[name], times * x, name)
    for scale in (np.nan, np.inf):
        with pytest.raises(ValueError, match=f"lora_scale={scale} must be a finite number"):
            with_lora(folder, lora_scale=scale)


def read(shapes, alpha=ALPHA):
    return read_adapter(RecipeSource(Path(FILE), shapes), MODEL, CONFIG, alpha=alpha)


def test_alpha_is_known_for_the_published_rank_only():
    published = factor_shapes(rank=256)
    assert read(published, alpha=None).lora.alpha == 4.0
    assert read(published, alpha=8.0).lora.alpha == 8.0
    with pytest.raises(ValueError, match=r"rank 3.*does not tell alpha.*--lora-alpha.*alpha="):
        read(factor_shapes(), alpha=None)


A_Q, B_Q = LAYER_A.format("blocks.0.self_attn.q"), LAYER_B.format("blocks.0.self_attn.q")
UNKNOWN = {LAYER_A.format(f"blocks.{i}.moe"): (RANK, 12) for i in range(3)}
CONVOLUTION = {LAYER_A.format("patch_embedding"): (RANK, 4, 1, 2, 2)}
FOREIGN = {"pipe.vae.conv.weight": (3, 3), "dit.head.head.bias": (16,)}
NOT_OURS = {"pipe.dit.patch_embedding3.weight": (12,), "pipe.dit.blocks.2.modulation": (1, 6, 12)}


@pytest.mark.parametrize(
    ("removed", "added", "messages"),
    [
        ((), UNKNOWN, ["3 unknown: ", *UNKNOWN]),
        ((), CONVOLUTION, ["1 unknown: ", *CONVOLUTION]),
        ((), FOREIGN, ["2 unknown: ", *FOREIGN]),
        ((), NOT_OURS, ["2 unknown: ", *NOT_OURS]),
        ([B_Q], {}, ["1 without their partner: pipe.dit.blocks.0.self_attn.q (no B)"]),
        ((), {A_Q: (RANK, 13)}, [f"1 misshapen: {A_Q} is (3, 13), must be (3, 12)"]),
        ((), {A_Q: (5, 12)}, [f"1 misshapen: {B_Q} is (12, 3), must be (12, 5)"]),
        ((), {"pipe.dit.head.head.bias": (15,)}, ["head.head.bias is (15,), must be (16,)"]),
        (
            [B_Q],
            {**FOREIGN, **NOT_OURS, A_Q: (12,)},
            ["1 without their partner: ", "4 unknown: ", "1 misshapen: ", *FOREIGN, *NOT_OURS, A_Q],
        ),
    ],
    ids=[
        "unknown layers", "convolution", "foreign names", "unknown overrides", "unpaired", "shape",
        "ranks of a pair", "shape of an override", "all at once",
    ],
)  # fmt: skip
def test_all_differences_are_reported(removed, added, messages):
    shapes = {name: shape for name, shape in file_shapes().items() if name not in removed}
    with pytest.raises(ValueError, match="no LoRA adapter that fits wan_enhancer_dit") as e:
        read(shapes | added)
    assert [message for message in messages if message not in str(e.value)] == []
    assert "\n" not in str(e.value)


def test_some_layers_of_a_stack_may_have_no_update():
    whole, some = read(factor_shapes()), read({n: s for n, s in factor_shapes().items()
                                               if n not in (A_Q, B_Q)})  # fmt: skip
    for layer, pair in whole.factors.items():
        for one, other in zip(pair, some.factors[layer], strict=True):
            expected = np.array(next(one.pieces())[1])
            expected[0] *= layer != "blocks/self_attention/q"
            np.testing.assert_array_equal(next(other.pieces())[1], expected)


def test_files_without_an_adapter_are_refused(folder, tmp_path):
    for shapes in (model_shapes(), {}):
        with pytest.raises(ValueError, match=r"no LoRA adapter that fits.* no low-rank factors"):
            read(shapes)
    base, out = folder / "base.pt", tmp_path / "out.pt"
    for path, message in (
        (tmp_path, rf"no LoRA adapter of peft.*nor a folder that holds .*{FILE}"),
        (tmp_path / "absent", "no LoRA adapter: there is no such file"),
        (checkpoints.save(tmp_path / "lora.ckpt", {}), r"ends in \.safetensors, \.pt"),
    ):
        with pytest.raises(ValueError, match=message):
            convert(base, out, lora=path, lora_alpha=ALPHA)
    with pytest.raises(ValueError, match=r"lora_alpha=6\.0 is of an adapter; say which"):
        convert(base, out, lora_alpha=ALPHA)
    assert not out.exists()
