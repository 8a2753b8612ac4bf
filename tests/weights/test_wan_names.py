# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Wan2.1's DiT under the names of its authors and of diffusers, compared with both programs."""

import json

import diffusers
import jax
import numpy as np
import pytest
import safetensors.torch
import torch

from mugv_jax import golden
from mugv_jax.golden.cases import recipe
from mugv_jax.nn.wan.dit import WanDiT, WanDiTConfig
from mugv_jax.weights.check import check, identify, ordered, ordered_names
from mugv_jax.weights.formats import open_source
from mugv_jax.weights.load import load
from mugv_jax.weights.registry import MODELS
from tests.nn.test_vae import PARITY, relative_error
from tests.systems.wan.folders import names_of
from tests.weights.checkpoints import GOLDEN

SECOND = "patch_embedding2"  # of the enhancer alone
FILE = "diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def case():
    """Numbers of the published code for text alone, from the weights of a small enhancer."""
    return golden.read_case(GOLDEN.parent / "enhancer" / "enhancer_dit_tiny.json")


@pytest.fixture(scope="module")
def config(case):
    return MODELS["wan_dit"].config_from_published(case.spec["config"])


@pytest.fixture(scope="module")
def folders(case, config, tmp_path_factory):
    """The same weights under the names of both programs, by kind."""
    tensors = {
        name: torch.from_numpy(recipe(name, tuple(shape)))
        for name, shape in case.spec["tensors"].items()
        if not name.startswith(SECOND)
    }
    names = names_of("wan_dit", "wan_dit_diffusers", config)
    assert set(names) == set(tensors)
    stated = {key: value for key, value in case.spec["config"].items() if key != "patch_size"}
    found = {
        "wan_dit": (tensors, {"_class_name": "WanModel", "model_type": "t2v", **stated}),
        "wan_dit_diffusers": (
            {names[name]: tensor for name, tensor in tensors.items()},
            MODELS["wan_dit_diffusers"].published_config(config),
        ),
    }
    made = {}
    for kind, (content, described) in found.items():
        made[kind] = tmp_path_factory.mktemp(kind)
        safetensors.torch.save_file(content, made[kind] / FILE)
        (made[kind] / "config.json").write_text(json.dumps(described))
    return made


@pytest.fixture(scope="module")
def text(case):
    """Texts of the case, filled up with zeros to what the model reads."""
    texts = [case.arrays[f"context{i}"] for i in range(len(case.arrays["x"]))]
    length = case.spec["config"]["text_len"]
    return np.stack([np.pad(each, ((0, length - len(each)), (0, 0))) for each in texts])


def test_diffusers_has_the_numbers_of_the_published_code_under_our_names(case, folders, text):
    model = diffusers.WanTransformer3DModel.from_pretrained(folders["wan_dit_diffusers"]).eval()
    x, t = (torch.from_numpy(np.array(case.arrays[name])) for name in ("x", "timestep"))
    with torch.no_grad():
        (out,) = model(x, t, torch.from_numpy(text), return_dict=False)
    assert relative_error(out.numpy(), case.arrays["out_t2v"]) < PARITY


@pytest.mark.parametrize("kind", ["wan_dit", "wan_dit_diffusers"])
def test_both_names_have_the_numbers_of_the_published_code(case, folders, text, kind, config):
    with open_source(folders[kind]) as source:
        model, sizes = identify(source)
        check(source, model, sizes)
    # diffusers does not state the length of texts.
    length = {"wan_dit": 16, "wan_dit_diffusers": 512}[kind]
    assert (model.kind, sizes.text_tokens, sizes.num_heads) == (kind, length, config.num_heads)
    variables = load(folders[kind], kind)[1]
    x = np.moveaxis(case.arrays["x"], 1, -1)
    t = np.broadcast_to(case.arrays["timestep"].astype(np.float32), len(x))
    apply = jax.jit(WanDiT(config).apply)
    out = apply(variables, x, t, text)
    assert relative_error(np.moveaxis(out, -1, 1), case.arrays["out_t2v"]) < PARITY


def test_the_table_of_the_authors_has_the_order_of_their_parameters():
    file = GOLDEN.parent / "enhancer" / "manifest_enhancer_1p3b.json"
    published = json.loads(file.read_text())["tensors"]
    shapes = {n: tuple(shape) for n, shape in published.items() if not n.startswith(SECOND)}
    model = MODELS["wan_dit"]
    assert model.infer_config(shapes) == WanDiTConfig()
    assert ordered(model.table(WanDiTConfig())) == list(shapes)
    assert ordered_names("wan_dit", [*shapes.values()]) == list(shapes)


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        ("wan_dit", {"model_type": "i2v"}, "model_type='i2v': only 't2v'"),
        ("wan_dit", {"eps": 1e-5}, "only 256 and 1e-06 are supported"),
        ("wan_dit_diffusers", {"image_dim": 1280}, "image_dim=1280: only None is supported"),
        ("wan_dit_diffusers", {"qk_norm": None}, "qk_norm=None: only 'rms_norm_across_heads'"),
    ],
)
def test_other_models_of_wan_are_refused(folders, tmp_path, kind, change, message):
    described = json.loads((folders[kind] / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(described | change))
    (tmp_path / FILE).symlink_to(folders[kind] / FILE)
    with open_source(tmp_path) as source, pytest.raises(ValueError, match=message):
        identify(source, kind)
