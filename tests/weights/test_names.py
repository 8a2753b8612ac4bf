# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Checkpoints under the names and in the wrappings of other programs."""

import json
import logging
import re
import warnings

import numpy as np
import pytest
import safetensors.torch
import torch
import torch.distributed.checkpoint as dcp
import transformers

from mugv_jax.nn.mugdit.sizes import DiTConfig
from mugv_jax.weights.check import check, identify, ordered, ordered_names, require_equal_twins
from mugv_jax.weights.formats import open_source
from mugv_jax.weights.load import load
from mugv_jax.weights.registry import MODELS
from tests.weights import checkpoints

CONFIG = DiTConfig(depth=2, width=48, num_heads=2, text_dim=16)
GOLDEN = checkpoints.GOLDEN.parent


@pytest.fixture(scope="module")
def tensors():
    """A state dict in the order of the published class."""
    found = checkpoints.dit_tensors(CONFIG)
    return {name: found[name] for name in ordered(MODELS["mugv_dit"].table(CONFIG))}


def read_all(path, **options):
    with open_source(path, **options) as source:
        model, config = identify(source)
        assert (model.kind, config) == ("mugv_dit", CONFIG)
        check(source, model, config)
        return {name: torch.from_numpy(np.array(source.read(name))) for name in source.specs}


@pytest.mark.parametrize(
    "prefix",
    ["_orig_mod.", "module.", "model.", "model.diffusion_model.", "module._orig_mod.", "net.dit."],
)
def test_one_prefix_of_all_names_is_left_out_and_said_once(tmp_path, tensors, prefix, caplog):
    file = tmp_path / "dit.safetensors"
    safetensors.torch.save_file({prefix + name: t for name, t in tensors.items()}, file)
    with caplog.at_level(logging.INFO):
        for _ in range(2):
            checkpoints.assert_identical(read_all(file), tensors)
    said = [each for each in caplog.messages if str(file) in each]
    assert len(said) == (0 if prefix == "_orig_mod." else 1)


def test_wrapping_modules_are_left_out_inside_of_names_too(tmp_path, tensors):
    inside = {re.sub(r"(blocks\.\d+)", r"\1._orig_mod", name): t for name, t in tensors.items()}
    file = checkpoints.save(tmp_path / "dit.pt", {f"module.{n}": t for n, t in inside.items()})
    checkpoints.assert_identical(read_all(file), tensors)
    averaged = {"n_averaged": torch.tensor(3), **{f"module.{n}": t for n, t in tensors.items()}}
    checkpoints.assert_identical(read_all(checkpoints.save(file, averaged)), tensors)


@pytest.mark.parametrize(
    "keys",
    [["state_dict"], ["module"], ["ema"], ["model", "module"], ["state_dict", "ema_model"]],
)
def test_wrapped_state_dicts_are_read(tmp_path, tensors, keys):
    content = {f"module.{name}": t for name, t in tensors.items()}
    for key in reversed(keys):
        content = {key: content, "step": 3}
    checkpoints.assert_identical(read_all(checkpoints.save(tmp_path / "dit.pt", content)), tensors)


def shadow(tensors):
    """State of diffusers' EMA of a model with these parameters."""
    from diffusers.training_utils import EMAModel

    return EMAModel([torch.nn.Parameter(t.clone()) for t in tensors.values()]).state_dict()


def test_the_list_of_an_ema_is_matched_with_the_order_of_parameters(tmp_path, tensors):
    state = shadow(tensors)
    file = checkpoints.save(tmp_path / "ema.pt", state)
    for options in ({}, {"ema": True}):
        checkpoints.assert_identical(read_all(file, **options), tensors)
    twice = {name: t * 2 for name, t in tensors.items()}
    checkpoints.save(file, {"model": twice, "ema": state})
    checkpoints.assert_identical(read_all(file), twice)
    checkpoints.assert_identical(read_all(file, ema=True), tensors)
    for wrong in (state["shadow_params"][:-1], state["shadow_params"][::-1], []):
        checkpoints.save(file, state | {"shadow_params": wrong})
        with pytest.raises(ValueError, match=r"ema\.pt: (shadow_params is a list of|must hold)"):
            open_source(file)


@pytest.mark.parametrize(
    ("kind", "file"),
    [
        ("mugv_dit", "mugv/manifest_mugv_dit_10b.json"),
        ("contentv_dit", "contentv/manifest_contentv_8b_transformer.json"),
        ("wan_enhancer_dit", "enhancer/manifest_enhancer_1p3b.json"),
    ],
)
def test_tables_have_the_order_of_the_published_parameters(kind, file):
    published = json.loads((GOLDEN / file).read_text())["tensors"]
    shapes = {name: tuple(shape) for name, shape in published.items()}
    model = MODELS[kind]
    assert ordered(model.table(model.infer_config(shapes))) == list(shapes)
    assert ordered_names(kind, [*shapes.values()]) == list(shapes)
    assert ordered_names(kind, [*shapes.values()][:-1]) is None


@pytest.mark.parametrize("keys", [[], ["model"], ["app", "model"]])
def test_plain_distributed_checkpoints_are_read(tmp_path, tensors, keys):
    content = dict(tensors)
    optimizer = {"state": {name: {"exp_avg": t * 0} for name, t in tensors.items()}}
    if keys:
        content = {"model": content, "optim": optimizer, "ema": {n: -t for n, t in tensors.items()}}
    else:
        content |= {f"optimizer.state.exp_avg.{name}": t * 0 for name, t in tensors.items()}
    content = {"app": content} if "app" in keys else content
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns about process groups
        dcp.save(content, checkpoint_id=tmp_path / "dcp", no_dist=True)
    checkpoints.assert_identical(read_all(tmp_path / "dcp"), tensors)
    if keys:
        negative = {name: -t for name, t in tensors.items()}
        checkpoints.assert_identical(read_all(tmp_path / "dcp", ema=True), negative)


def scaled(tensors, form):
    """Weights of linear layers in 8 bits with scales, and what they stand for."""
    out, expected = {}, dict(tensors)
    for name, tensor in tensors.items():
        if tensor.ndim != 2 or not name.endswith(".weight"):
            out[name] = tensor
            continue
        layer = name.removesuffix(".weight")
        rows = form == "rows"
        scale = tensor.abs().amax(1, keepdim=True) / 448 if rows else tensor.abs().amax() / 448
        narrow = (tensor / scale).to(torch.float8_e4m3fn)
        expected[name] = narrow.float() * scale
        out |= {name: narrow}
        key = "scale_weight" if form == "old" else "weight_scale"
        out |= {
            f"{layer}.{key}": scale,
            f"{layer}.{key.replace('weight', 'input')}": torch.ones(()),
        }
        if form != "old":
            described = json.dumps({"format": "float8_e4m3fn"}).encode()
            out[f"{layer}.comfy_quant"] = torch.tensor(list(described), dtype=torch.uint8)
    prefix = "model.diffusion_model."
    out = {prefix + name: tensor.contiguous() for name, tensor in out.items()}
    if form == "old":
        out["scaled_fp8"] = torch.zeros(2, dtype=torch.float8_e4m3fn)
    return out, expected


@pytest.mark.parametrize("form", ["old", "new", "rows"])
def test_scales_of_8_bit_weights_are_applied(tmp_path, tensors, form):
    content, expected = scaled(tensors, form)
    file = tmp_path / "dit.safetensors"
    safetensors.torch.save_file(content, file)
    found = read_all(file)
    assert set(found) == set(expected)
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-6, atol=0, msg=name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"blocks.0.mlp.fc1.weight_scale_inv": torch.ones(2, 2)}, "scales of blocks"),
        ({"blocks.0.mlp.fc1.scale_weight": torch.ones(3)}, r"\(3,\) for "),
        ({"blocks.0.mlp.fc1.scale_weight": None}, r"mlp\.fc1\.weight \(float8_e4m3fn without a"),
        ({"blocks.0.mlp.fc1.weight": None}, r"without model\.diffusion_model\.blocks\.0\.mlp\.fc1"),
        ({"blocks.0.mlp.fc1.weight": torch.ones(192, 48).char()}, "int8 with a scale of float32"),
        (
            {"blocks.0.mlp.fc1.comfy_quant": torch.tensor(list(b'{"format": "nvfp4"}')).byte()},
            "format 'nvfp4'",
        ),
    ],
)
def test_other_8_bit_weights_are_refused_by_name(tmp_path, tensors, change, message):
    content, _ = scaled(tensors, "old")
    content |= {f"model.diffusion_model.{name}": t for name, t in change.items()}
    file = tmp_path / "dit.safetensors"
    safetensors.torch.save_file({name: t for name, t in content.items() if t is not None}, file)
    with pytest.raises(ValueError, match=message):
        open_source(file)


@pytest.fixture
def t5(tmp_path):
    """Folder that transformers saves, and its tensors."""
    torch.manual_seed(0)
    sizes = {"vocab_size": 16, "d_model": 8, "d_kv": 6, "d_ff": 12, "num_layers": 1, "num_heads": 2}
    config = transformers.T5Config(**sizes, feed_forward_proj="gated-gelu")
    transformers.T5EncoderModel(config).save_pretrained(tmp_path / "t5")
    file = tmp_path / "t5" / "model.safetensors"
    return file, safetensors.torch.load_file(file)


@pytest.mark.parametrize(
    "names", [["shared"], ["encoder.embed_tokens"], ["shared", "encoder.embed_tokens"]]
)
def test_t5_has_its_embedding_under_either_name(t5, names):
    file, saved = t5
    embedding = saved.pop("shared.weight")
    saved |= {f"{name}.weight": embedding.clone() for name in names}
    safetensors.torch.save_file(saved, file)
    _, variables = load(file.parent, "t5_encoder")
    np.testing.assert_array_equal(variables["params"]["token_embed"], embedding.numpy())


def test_two_different_embeddings_are_refused_by_name(t5):
    file, saved = t5
    other = saved["shared.weight"].clone()
    other[3, 2] += 1
    safetensors.torch.save_file(saved | {"encoder.embed_tokens.weight": other}, file)
    message = r"shared\.weight and encoder\.embed_tokens\.weight must be the same"
    with pytest.raises(ValueError, match=message):
        load(file.parent, "t5_encoder")
    with open_source(file.parent) as source, pytest.raises(ValueError, match=message):
        require_equal_twins(source, MODELS["t5_encoder"])


def test_names_of_no_model_are_answered_with_the_closest(tmp_path, tensors):
    kept = {f"model.{name}": t for name, t in tensors.items() if "embedder" not in name}
    file = checkpoints.save(tmp_path / "in.pt", kept)
    with pytest.raises(ValueError, match=r"the closest is mugv_dit, .* it lacks 8 ") as error:
        identify(open_source(file))
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 600
    lacking = {n: t for n, t in tensors.items() if not n.startswith(("x_embedder", "t_block"))}
    checkpoints.save(file, lacking | {f"blocks.{i}.moe.weight": torch.zeros(2) for i in range(9)})
    with pytest.raises(ValueError, match=(
        r"the closest is mugv_dit, of whose 34 kinds of tensors it lacks 4 \(x_embedder\.proj\."
        r"weight, .* and 1 more\) and beside which it has 9 tensors \(blocks\.0\.moe\.weight, .*"
        r" and 6 more\)"
    )):  # fmt: skip
        identify(open_source(file))
