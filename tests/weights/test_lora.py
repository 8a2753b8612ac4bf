# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Adapters compared with the `peft` library on the PyTorch reference model."""

import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import peft
import pytest
import safetensors.torch
import torch
from flax import traverse_util

from mugv_jax.nn.layers import unboxed
from mugv_jax.nn.lora import LoraConfig, abstract_lora, scaled
from mugv_jax.nn.quantize import Rounding, quantized, scale_path
from mugv_jax.weights.adapter_files import (
    CONFIG_FILE,
    MODEL_FILE,
    write_adapter,
)
from mugv_jax.weights.adapters import open_adapter
from mugv_jax.weights.convert import convert
from mugv_jax.weights.load import load
from mugv_jax.weights.lora import Adapter, factors_of
from mugv_jax.weights.registry import MODELS, abstract_variables
from tests.weights import checkpoints
from tests.weights.training import save_steps
from tools import torch_reference

CASE = "mugdit_tiny"
LORA = LoraConfig(rank=3, alpha=6.0, targets=(*LoraConfig().targets, "^final/linear$"))
PUBLISHED = ("attn.qkv", "attn.proj", "q_linear", "kv_linear", "cross_attn.proj", "fc1", "fc2")
# PyTorch and JAX on one model differ by 1e-6 to 3e-6; see tests/tools/test_torch_reference.py.
PARITY = 1e-5


def reference():
    """The PyTorch model of the golden case, and its arguments."""
    case = json.loads((checkpoints.GOLDEN / f"{CASE}.json").read_text())
    config = {key: value for key, value in case["config"].items() if key != "qk_norm"}
    model = torch_reference.MUGDiT(**config)
    model.load_state_dict(checkpoints.golden_tensors(CASE))
    with np.load(checkpoints.GOLDEN / f"{CASE}.npz") as arrays:
        given = {name: torch.from_numpy(arrays[name]) for name in arrays}
    for output in ("out", "block0", "block_last"):
        del given[output]
    return model, given


def output(model, given):
    with torch.no_grad():
        return model(**given).numpy()


def relative(found, expected):
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    path = tmp_path_factory.mktemp("base") / "dit.pt"
    return checkpoints.save(path, checkpoints.golden_tensors(CASE))


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """Folder of an adapter saved by peft, and output of the model with it."""
    torch.manual_seed(0)
    model, given = reference()
    config = peft.LoraConfig(
        r=4, lora_alpha=2, target_modules=list(PUBLISHED), init_lora_weights=False
    )
    wrapped = peft.get_peft_model(model, config).eval()
    folder = tmp_path_factory.mktemp("peft") / "adapter"
    wrapped.save_pretrained(folder)
    return folder, output(wrapped, given)


def random_factors(config, lora):
    generator = np.random.default_rng(0)
    shapes = unboxed(abstract_lora(abstract_variables("mugv_dit", config)["params"], lora))
    return jax.tree.map(lambda leaf: generator.standard_normal(leaf.shape, np.float32) / 4, shapes)


@pytest.fixture(scope="module")
def ours(base, tmp_path_factory):
    """Config, low-rank factors, and folder of the adapter written from them."""
    config, _ = load(base)
    factors = random_factors(config, LORA)
    folder = tmp_path_factory.mktemp("ours") / "adapter"
    write_adapter(
        folder, Adapter(LORA, factors_of(checkpoints.in_memory(factors))), "mugv_dit", config
    )
    return config, factors, folder


def test_an_adapter_of_peft_merges_into_published_weights(base, published, tmp_path):
    folder, expected = published
    convert(base, tmp_path / "merged.pt", lora=folder)
    model, given = reference()
    assert relative(output(model, given), expected) > 0.05
    model.load_state_dict(checkpoints.read(tmp_path / "merged.pt"))
    assert relative(output(model, given), expected) < PARITY
    convert(base, tmp_path / "orbax", lora=folder)
    convert(tmp_path / "orbax", tmp_path / "again.pt")
    checkpoints.assert_identical(
        checkpoints.read(tmp_path / "again.pt"), checkpoints.read(tmp_path / "merged.pt")
    )


def test_an_adapter_is_merged_before_weights_are_quantised(base, ours):
    _, _, folder = ours
    path = "params/blocks/mlp/up/kernel"
    wide, narrow = (
        traverse_util.flatten_dict(load(base, lora=folder, quantize=name)[1], sep="/")
        for name in (None, "int8")
    )
    kernels, scales = quantized(wide[path], Rounding(jnp.int8))
    np.testing.assert_array_equal(narrow[path], kernels)
    np.testing.assert_allclose(narrow[scale_path(path, Rounding(jnp.int8))], scales, rtol=1e-6)
    unmerged = traverse_util.flatten_dict(load(base, quantize="int8")[1], sep="/")
    assert not np.array_equal(narrow[path], unmerged[path])


def test_an_adapter_can_stay_beside_the_weights(base, ours):
    _, factors, folder = ours
    _, variables = load(base, lora=folder, lora_merged=False)
    expected = {**load(base)[1], "lora": scaled(factors, LORA)}
    checkpoints.assert_trees_identical(variables, expected)


def test_our_adapter_gives_the_same_output_in_peft(base, ours):
    config, factors, folder = ours
    _, variables = load(base)
    model, given = reference()
    wrapped = peft.PeftModel.from_pretrained(model, folder).eval()
    expected = output(wrapped, given)
    with np.load(checkpoints.GOLDEN / f"{CASE}.npz") as arrays:
        x, t, text, options = golden_inputs(arrays)
    variables = {"params": variables["params"], "lora": scaled(factors, LORA)}
    module = MODELS["mugv_dit"].build(config, np.float32)
    found = jax.jit(module.apply)(variables, x, t, text, **options)
    velocity = np.moveaxis(expected[:, : config.in_channels], 1, -1)
    assert relative(found, velocity) < PARITY


def golden_inputs(arrays):
    """Arguments of our model, from the published ones."""
    noisy = arrays["x_mask"]
    return (
        np.moveaxis(arrays["x"], 1, -1),
        (arrays["timestep"][:, None] * noisy).astype(np.float32),
        arrays["y"][:, 0],
        {
            "text_mask": arrays["text_mask"].astype(bool),
            "fps": arrays["fps"].astype(np.float32),
            "frame_index": arrays["frame_indice"].astype(np.int32),
        },
    )


def test_names_and_shapes_are_those_of_peft(published, ours):
    model, _ = reference()
    _, _, folder = ours
    theirs = safetensors.torch.load_file(published[0] / MODEL_FILE)
    found = safetensors.torch.load_file(folder / MODEL_FILE)
    final = {f"base_model.model.final_layer.linear.lora_{f}.weight" for f in "AB"}
    text = {name for name in theirs if ".y_proj." in name}  # these names end in "fc1" too
    assert set(found) == (set(theirs) - text) | final
    name = "base_model.model.blocks.0.attn.qkv.lora_B.weight"
    assert found[name].shape == (theirs[name].shape[0], LORA.rank)
    wrapped = peft.PeftModel.from_pretrained(model, folder)
    loaded = {n for n in peft.get_peft_model_state_dict(wrapped) if "lora" in n}
    assert loaded == set(found)  # the targets name these layers and no others


def test_a_written_adapter_is_read_back(ours):
    config, factors, folder = ours
    adapter = open_adapter(folder, MODELS["mugv_dit"], config)
    assert (adapter.lora.rank, adapter.lora.alpha) == (3, 6.0)
    again = {}
    for layer, (a, b) in adapter.factors.items():
        again |= {f"{layer}/a": next(a.pieces())[1], f"{layer}/b": next(b.pieces())[1]}
    checkpoints.assert_trees_identical(traverse_util.unflatten_dict(again, sep="/"), factors)
    abstract = abstract_variables("mugv_dit", config)["params"]
    assert jax.tree.structure(unboxed(abstract_lora(abstract, adapter.lora))) == jax.tree.structure(
        factors
    )


def test_a_run_with_lora_becomes_an_adapter(base, ours, tmp_path):
    config, factors, folder = ours
    _, variables = load(base)
    state = {"params": factors, "frozen": variables["params"]}
    run = save_steps(tmp_path / "run", config, {7: state}, LORA)
    convert(run, tmp_path / "adapter", format="peft")
    for name in (CONFIG_FILE, MODEL_FILE):
        assert (tmp_path / "adapter" / name).read_bytes() == (folder / name).read_bytes()
    convert(run, tmp_path / "merged.pt")
    convert(base, tmp_path / "expected.pt", lora=tmp_path / "adapter")
    checkpoints.assert_identical(
        checkpoints.read(tmp_path / "merged.pt"), checkpoints.read(tmp_path / "expected.pt")
    )
    whole = save_steps(tmp_path / "whole", config, {7: {"params": variables["params"]}})
    for source, message in ((base, "no training checkpoint"), (whole, "not trained with LoRA")):
        with pytest.raises(ValueError, match=message):
            convert(source, tmp_path / "none", format="peft")
    with pytest.raises(ValueError, match="give no dtype or lora"):
        convert(run, tmp_path / "none", format="peft", dtype="bfloat16")


def edit(folder, tmp_path, **fields):
    """A copy of an adapter with other fields in its configuration."""
    copy = tmp_path / "edited"
    copy.mkdir()
    (copy / MODEL_FILE).write_bytes((folder / MODEL_FILE).read_bytes())
    stated = json.loads((folder / CONFIG_FILE).read_text())
    (copy / CONFIG_FILE).write_text(json.dumps(stated | fields))
    return copy


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"peft_type": "LOHA"}, "peft_type='LOHA' is not supported"),
        ({"use_dora": True}, "use_dora=True is not supported"),
        ({"bias": "all"}, "bias='all' is not supported"),
        ({"r": None}, "not the configuration of a LoRA adapter"),
        ({"r": 5}, "is (3, 144), must be (5, 144)"),
        ({"lora_alpha": 0}, "alpha=0.0 must be a positive number"),
    ],
)
def test_adapters_of_other_kinds_are_refused(base, ours, tmp_path, fields, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        convert(base, tmp_path / "out.pt", lora=edit(ours[2], tmp_path, **fields))
    assert not (tmp_path / "out.pt").exists()


def test_alpha_is_refused_if_the_file_states_it(base, ours, tmp_path):
    with pytest.raises(ValueError, match=r"alpha=6\.0 is given, but adapter_config\.json tells it"):
        convert(base, tmp_path / "out.pt", lora=ours[2], lora_alpha=6.0)


def test_adapters_of_other_models_are_refused(base, ours, tmp_path):
    _, _, folder = ours
    with pytest.raises(ValueError, match="no LoRA adapter of peft"):
        convert(base, tmp_path / "out.pt", lora=tmp_path)
    copy = edit(folder, tmp_path)
    tensors = safetensors.torch.load_file(folder / MODEL_FILE)
    removed = tensors.pop("base_model.model.blocks.1.mlp.fc1.lora_B.weight")
    safetensors.torch.save_file(tensors, copy / MODEL_FILE)
    with pytest.raises(
        ValueError, match=r"1 without their partner: base_model.*1\.mlp\.fc1 \(no B\)"
    ):
        convert(base, tmp_path / "out.pt", lora=copy)
    safetensors.torch.save_file(
        tensors | {"base_model.model.blocks.1.moe.lora_B.weight": removed}, copy / MODEL_FILE
    )
    with pytest.raises(ValueError, match=r"1 unknown: base_model\.model\.blocks\.1\.moe"):
        convert(base, tmp_path / "out.pt", lora=copy)
