# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""One adapter in the names of all programs, compared with what peft and diffusers write."""

import functools
import json

import diffusers
import numpy as np
import peft
import pytest
import safetensors.torch
import torch

from mugv_jax import cli
from mugv_jax.commands.options import adapter_text
from mugv_jax.golden import recipe
from mugv_jax.nn.lora import LoraConfig
from mugv_jax.nn.mmdit.model import MMDiTConfig
from mugv_jax.nn.mugdit.sizes import DiTConfig
from mugv_jax.nn.wan.dit import WanDiTConfig
from mugv_jax.weights.adapter_files import CONFIG_FILE, MODEL_FILE
from mugv_jax.weights.adapter_table import linear_layers
from mugv_jax.weights.adapters import listed, open_adapter, open_adapters
from mugv_jax.weights.check import published_shapes
from mugv_jax.weights.load import load
from mugv_jax.weights.registry import MODELS
from tests.weights import checkpoints
from tests.weights.training import save_steps

CONFIGS = {
    "mugv_dit": DiTConfig(depth=2, width=48, num_heads=2, text_dim=16),
    "contentv_dit": MMDiTConfig(
        depth=3, num_heads=2, head_dim=8, in_channels=4, out_channels=4, patch=(1, 2, 2),
        text_dim=12, pooled_dim=6,
    ),
    "wan_enhancer_dit": WanDiTConfig(
        depth=2, width=12, mlp_dim=20, num_heads=1, in_channels=4, out_channels=4, text_dim=8
    ),
}  # fmt: skip
# Sums of float32 products in another order.
ROUNDING = 2e-6
A, B = "{}.lora_A.weight", "{}.lora_B.weight"


class Net(torch.nn.Module):
    """Linear layers under the published names of a model."""

    def __init__(self, layers):
        super().__init__()
        for name, (outputs, inputs) in layers.items():
            *path, leaf = name.split(".")
            at = self
            for part in path:
                if part not in at._modules:
                    at.add_module(part, torch.nn.Module())
                at = at._modules[part]
            at.add_module(leaf, torch.nn.Linear(inputs, outputs, bias=False))


def layers_of(kind):
    """Shape of the weight of every linear layer inside of blocks."""
    model, config = MODELS[kind], CONFIGS[kind]
    shapes = published_shapes(model, config)
    names = linear_layers(model.table(config))
    return {name: shapes[f"{name}.weight"] for name in names if "blocks." in name}


@functools.cache
def saved_by_peft(kind, folder):
    """Adapter that peft writes, with other rank and alpha for the first layer: kind, folder,
    tensors, first layer, and its updates.
    """
    torch.manual_seed(0)
    layers = layers_of(kind)
    first = next(iter(layers))
    config = peft.LoraConfig(
        r=3, lora_alpha=2, target_modules=list(layers), init_lora_weights=False,
        rank_pattern={first.replace(".", r"\."): 5}, alpha_pattern={first: 7},
    )  # fmt: skip
    peft.get_peft_model(Net(layers), config).save_pretrained(folder)
    tensors = safetensors.torch.load_file(folder / MODEL_FILE)
    return kind, folder, tensors, first, opened(folder, kind)


@pytest.fixture(scope="session")
def peft_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("peft")


@pytest.fixture(params=CONFIGS)
def each_saved(request, peft_folder):
    return saved_by_peft(request.param, peft_folder / request.param)


@pytest.fixture
def saved(peft_folder):
    """The adapter of the smallest model."""
    return saved_by_peft("wan_enhancer_dit", peft_folder / "wan_enhancer_dit")


def products(adapter):
    """Update of every weight, in our layout, by path."""
    found = {}
    for layer, pair in adapter.factors.items():
        a, b = (np.asarray(next(each.pieces())[1], np.float64) for each in pair)
        stacked = pair[0].stacked
        made = [np.tensordot(*each, 1) for each in (zip(a, b) if stacked else [(a, b)])]
        found[layer] = np.stack(made) * adapter.scale * adapter.lora.scale
    return found


def opened(path, kind, **options):
    return products(open_adapter(path, MODELS[kind], CONFIGS[kind], **options))


def assert_same(found, expected):
    assert set(found) == set(expected)
    for layer, update in expected.items():
        assert np.abs(update).max() > 0, layer
        np.testing.assert_allclose(found[layer], update, ROUNDING, ROUNDING, err_msg=layer)


def plain(tensors):
    """Tensors of peft by (layer, "A" or "B")."""
    names = (name.removeprefix("base_model.model.").removesuffix(".weight") for name in tensors)
    return {tuple(name.rsplit(".lora_", 1)): t for name, t in zip(names, tensors.values())}


def scales(tensors, first):
    """alpha of every layer, as the fixture states it."""
    return {layer: 7.0 if layer == first else 2.0 for layer, _ in plain(tensors)}


def renamed(tensors, first, style):
    """The adapter in the names of another program, with alphas as tensors."""
    prefix, a, b, flat = {
        "diffusers": ("transformer.", "lora_A.weight", "lora_B.weight", False),
        "old diffusers": ("", "lora.down.weight", "lora.up.weight", False),
        "peft name": ("base_model.model.", "lora_A.default.weight", "lora_B.default.weight", False),
        "comfyui": ("diffusion_model.", "lora_A.weight", "lora_B.weight", False),
        "comfyui down": ("model.diffusion_model.", "lora_down.weight", "lora_up.weight", False),
        "compiled": ("transformer._orig_mod.", "lora_A.weight", "lora_B.weight", False),
        "kohya": ("lora_unet_", "lora_down.weight", "lora_up.weight", True),
        "enhancer": ("pipe.dit.", "lora_A.default.weight", "lora_B.default.weight", False),
    }[style]
    out = {}
    for (layer, factor), tensor in plain(tensors).items():
        module = prefix + (layer.replace(".", "_") if flat else layer)
        out[f"{module}.{a if factor == 'A' else b}"] = tensor
        out[f"{module}.alpha"] = torch.tensor(scales(tensors, first)[layer])
    return out


STYLES = (
    "diffusers", "old diffusers", "peft name", "comfyui", "comfyui down", "compiled", "kohya",
    "enhancer",
)  # fmt: skip


@pytest.mark.parametrize(("kind", "style"), [
    *(("wan_enhancer_dit", style) for style in STYLES),
    *((kind, style) for kind in ("mugv_dit", "contentv_dit") for style in ("kohya", "diffusers")),
])  # fmt: skip
def test_names_of_all_programs_give_the_updates_of_peft(peft_folder, tmp_path, kind, style):
    _, _, tensors, first, expected = saved_by_peft(kind, peft_folder / kind)
    file = tmp_path / "style.safetensors"
    safetensors.torch.save_file(renamed(tensors, first, style), file)
    # A folder with one file of any name is that file.
    assert_same(opened(tmp_path if style == "kohya" else file, kind), expected)


def test_updates_are_those_of_the_formula(each_saved):
    kind, _, tensors, first, found = each_saved
    factors = plain(tensors)
    table = MODELS[kind].table(CONFIGS[kind])
    layer = "blocks.1.mlp.fc1" if kind == "mugv_dit" else next(
        name for name in layers_of(kind) if name.endswith(("blocks.1.ff.net.2", "1.ffn.2"))
    )  # fmt: skip
    expected = 2 / 3 * (factors[layer, "B"].double() @ factors[layer, "A"].double())
    path = linear_layers(table)[layer]
    np.testing.assert_allclose(found[path][1], expected.numpy().T, ROUNDING, ROUNDING)
    assert factors[first, "A"].shape[0] == 5


def test_diffusers_writes_files_with_its_metadata(tmp_path):
    """A model of diffusers with the layers that the enhancer has, saved with its own alpha."""
    kind = "wan_enhancer_dit"
    config = CONFIGS[kind]
    torch.manual_seed(1)
    model = diffusers.WanTransformer3DModel(
        patch_size=(1, 2, 2), num_attention_heads=1, attention_head_dim=12, in_channels=4,
        out_channels=4, text_dim=8, freq_dim=16, ffn_dim=config.mlp_dim, num_layers=config.depth,
    )  # fmt: skip
    model.add_adapter(peft.LoraConfig(
        r=2, lora_alpha=6, target_modules=["to_q", "to_out.0", "ffn.net.2"], init_lora_weights=False
    ))  # fmt: skip
    model.save_lora_adapter(tmp_path)
    (file,) = tmp_path.glob("*.safetensors")
    with safetensors.safe_open(file, "pt") as content:
        assert "lora_adapter_metadata" in content.metadata()
        name = "blocks.1.ffn.net.2.lora_{}.weight"
        a, b = (content.get_tensor(name.format(factor)).double() for factor in "AB")
    found = opened(tmp_path, kind)
    np.testing.assert_allclose(found["blocks/mlp/down"][1], 3 * (b @ a).T, ROUNDING, ROUNDING)
    assert set(found) == {
        "blocks/self_attention/q", "blocks/self_attention/out", "blocks/cross_attention/q",
        "blocks/cross_attention/out", "blocks/mlp/down",
    }  # fmt: skip


# kind, name of the fused layer, names of its parts, rows in order
FUSED = [
    ("mugv_dit", "blocks.0.attn.qkv", [f"blocks.0.attn.to_{x}" for x in "qkv"]),
    ("mugv_dit", "blocks.1.cross_attn.kv_linear",
     [f"blocks.1.cross_attn.{x}_linear" for x in "kv"]),
    ("contentv_dit", "transformer_blocks.1.attn.to_qkv",
     [f"transformer_blocks.1.attn.to_{x}" for x in "qkv"]),
    ("contentv_dit", "joint_blocks.0.x_block.attn.qkv",
     [f"transformer_blocks.0.attn.to_{x}" for x in "qkv"]),
    ("wan_enhancer_dit", "blocks.0.self_attn.qkv", [f"blocks.0.self_attn.{x}" for x in "qkv"]),
    ("wan_enhancer_dit", "blocks.1.attn2.to_kv", [f"blocks.1.cross_attn.{x}" for x in "kv"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "fused", "parts", "flat"), [(*each, bool(i % 2)) for i, each in enumerate(FUSED)]
)
def test_fused_and_separate_layers_give_the_same_update(tmp_path, kind, fused, parts, flat):
    known = layers_of(kind)
    rows = known[fused][0] if fused in known else len(parts) * known[parts[0]][0]
    inputs = known[fused if fused in known else parts[0]][1]
    a, b = (torch.from_numpy(recipe(x, shape)) for x, shape in (("a", (4, inputs)),
            ("b", (rows, 4))))  # fmt: skip
    spell = (lambda name: f"lora_unet_{name.replace('.', '_')}") if flat else str
    one = {A.format(spell(fused)): a, B.format(spell(fused)): b}
    several = {}
    for name, part in zip(parts, b.chunk(len(parts)), strict=True):
        several |= {A.format(spell(name)): a.clone(), B.format(spell(name)): part.clone()}
    safetensors.torch.save_file(one, tmp_path / "one.safetensors")
    safetensors.torch.save_file(several, tmp_path / "several.safetensors")
    found = opened(tmp_path / "several.safetensors", kind)
    expected = opened(tmp_path / "one.safetensors", kind)
    assert set(found) == set(expected)
    for layer, update in expected.items():
        np.testing.assert_allclose(found[layer], update, ROUNDING, ROUNDING)
    total = sum((update**2).sum() for update in expected.values())
    np.testing.assert_allclose(total, ((b.double() @ a.double()) ** 2).sum(), rtol=1e-6)


def test_several_adapters_are_added_with_their_scales(saved, tmp_path):
    kind, folder, tensors, first, one = saved
    other = tmp_path / "other.safetensors"
    halves = {name: t / 2 for name, t in renamed(tensors, first, "diffusers").items()
              if "alpha" not in name and first not in name}  # fmt: skip
    safetensors.torch.save_file(halves, other)
    model, config = MODELS[kind], CONFIGS[kind]
    two = opened(other, kind, alpha=1.5)  # half of the rank, beside an adapter that states alpha
    found = products(open_adapters([(folder, 0.8), other], model, config, alpha=1.5))
    for layer, update in one.items():
        expected = 0.8 * update + two.get(layer, 0)
        np.testing.assert_allclose(found[layer], expected, ROUNDING, ROUNDING)
    alone = products(open_adapters((folder, -0.5), model, config))
    assert_same(alone, {layer: -0.5 * update for layer, update in one.items()})


def test_a_training_run_is_an_adapter(tmp_path):
    config = CONFIGS["mugv_dit"]
    lora = LoraConfig(rank=2, alpha=3.0, targets=("^blocks/self_attention/qkv$", "^final/linear$"))
    shapes = {
        "blocks/self_attention/qkv": ((2, 48, 2), (2, 2, 3, 2, 24)),
        "final/linear": ((48, 2), (2, 192)),
    }
    tree = {"blocks": {"self_attention": {"qkv": {}}}, "final": {"linear": {}}}
    for layer, pair in shapes.items():
        at = tree
        for part in layer.split("/"):
            at = at[part]
        at |= {factor: recipe(layer + factor, shape) for factor, shape in zip("ab", pair)}
    run = save_steps(tmp_path / "run", config, {3: {"params": tree}}, lora)
    found = opened(run, "mugv_dit")
    a, b = (tree["final"]["linear"][factor] for factor in "ab")
    np.testing.assert_allclose(found["final/linear"][0], 1.5 * a @ b, ROUNDING, ROUNDING)
    both = open_adapters([run, (run, 0.5)], MODELS["mugv_dit"], config)
    assert_same(products(both), {layer: 1.5 * update for layer, update in found.items()})
    larger = DiTConfig(depth=2, width=48, num_heads=1, text_dim=16)
    with pytest.raises(ValueError, match=r"run: was trained on mugv_dit with .*num_heads=2"):
        open_adapter(run, MODELS["mugv_dit"], larger)
    base = checkpoints.save(tmp_path / "dit.pt", checkpoints.dit_tensors(config))
    plain_kernel, merged_kernel = (
        np.asarray(load(base, lora=each)[1]["params"]["final"]["linear"]["kernel"])
        for each in (None, [(run, 2.0)])
    )
    np.testing.assert_allclose(merged_kernel - plain_kernel, 3 * a @ b, atol=1e-5)


def test_unknown_names_are_listed_once(saved, tmp_path):
    kind, _, tensors, first, _ = saved
    strange = {f"transformer.blocks.{i}.moe.lora_A.weight": torch.zeros(3, 4) for i in range(9)}
    lone = {f"transformer.{first}.dora_scale": torch.zeros(3)}
    file = tmp_path / "style.safetensors"
    safetensors.torch.save_file(renamed(tensors, first, "diffusers") | strange | lone, file)
    with pytest.raises(ValueError, match=r"10 unknown: .* and 6 more") as error:
        opened(file, kind)
    assert f"{file}: no LoRA adapter that fits {kind}" in str(error.value)
    assert "Use an adapter of this model" in str(error.value)


def test_bad_factors_and_alphas_are_refused_by_name(saved, tmp_path):
    kind, folder, tensors, first, _ = saved
    named = renamed(tensors, first, "comfyui")
    key = f"diffusion_model.{first}"
    for change, message in (
        ({f"{key}.lora_A.weight": None}, f"1 without their partner: {key} (no A)"),
        ({f"{key}.lora_A.weight": torch.zeros(5, 7)}, "1 misshapen"),
        ({f"{key}.lora_B.weight": torch.zeros(7, 5)}, "1 misshapen"),
        ({f"{key}.alpha": torch.tensor(0.0)}, "alpha=0.0: alpha must be a positive number"),
        ({f"{key}.alpha": torch.tensor(torch.nan)}, "alpha=nan: alpha must be a positive number"),
        ({f"{key}.alpha": None}, f"1 do not: {key}"),
    ):
        file = tmp_path / "style.safetensors"
        kept = {name: t for name, t in (named | change).items() if t is not None}
        safetensors.torch.save_file(kept, file)
        with pytest.raises(ValueError) as error:  # noqa: PT011 (the message is checked below)
            opened(file, kind)
        assert message in str(error.value)
    with pytest.raises(ValueError, match=r"is given, but adapter_config\.json tells it"):
        opened(folder, kind, alpha=3.0)


@pytest.mark.parametrize("style", ["diffusers", "peft name", "enhancer"])
def test_alpha_is_the_rank_only_where_programs_read_it_so(saved, tmp_path, style):
    kind, _, tensors, first, _ = saved
    named = {n: t for n, t in renamed(tensors, first, style).items() if "alpha" not in n}
    file = tmp_path / "style.safetensors"
    safetensors.torch.save_file(named, file)
    given = opened(file, kind, alpha=2.0)
    path = linear_layers(MODELS[kind].table(CONFIGS[kind]))[[*layers_of(kind)][-1]]
    if style == "diffusers":
        np.testing.assert_allclose(opened(file, kind)[path] * 2 / 3, given[path], 0, ROUNDING)
    else:
        with pytest.raises(ValueError, match="does not tell alpha"):
            opened(file, kind)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"use_rslora": True}, None),
        ({"init_lora_weights": "pissa_niter_4"}, "init_lora_weights='pissa_niter_4' is not"),
        ({"use_dora": True}, "use_dora=True is not supported"),
        ({"trainable_token_indices": [1]}, "is not supported"),
        ({"alpha_pattern": {"x": -1}}, "x: alpha=-1.0 must be a positive number"),
    ],
)
def test_options_of_peft_are_followed_or_refused(saved, tmp_path, fields, message):
    kind, folder, _, _, expected = saved
    (tmp_path / MODEL_FILE).write_bytes((folder / MODEL_FILE).read_bytes())
    stated = json.loads((folder / CONFIG_FILE).read_text())
    (tmp_path / CONFIG_FILE).write_text(json.dumps(stated | fields))
    if message is None:
        found = opened(tmp_path, kind)
        path = linear_layers(MODELS[kind].table(CONFIGS[kind]))[[*layers_of(kind)][-1]]
        np.testing.assert_allclose(found[path], expected[path] * 3**0.5, 0, ROUNDING)
        return
    with pytest.raises(ValueError, match=message):
        opened(tmp_path, kind)


def test_scales_are_read_from_the_command_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "style:2").mkdir()
    for text, expected in {
        "a": ("a", 1.0), "a:0.8": ("a", 0.8), "runs/b:-1e-1": ("runs/b", -0.1),
        r"C:\loras\x.safetensors": (r"C:\loras\x.safetensors", 1.0),
        r"C:\loras\x:0.5": (r"C:\loras\x", 0.5), "D:/x.safetensors": ("D:/x.safetensors", 1.0),
        "style:2": ("style:2", 1.0), "style:2:3": ("style:2", 3.0), "a:b": ("a:b", 1.0),
    }.items():  # fmt: skip
        assert adapter_text(text) == expected, text
    assert listed(["a", ("b", 0.5)]) == [*listed("a"), *listed(("b", 0.5))]
    for bad in (("a", np.nan), [("a", np.inf)]):
        with pytest.raises(ValueError, match=r"scale of a=.* must be a finite number"):
            listed(bad)


@pytest.mark.parametrize(
    "words",
    [
        ("convert", "a", "b", "--lora", "c", "--lora-alpha", "0"),
        ("generate", "--weights", "a", "--lora", "c:inf", "x"),
        ("enhance", "--video", "a", "--out", "b", "--lora-scale", "nan"),
    ],
)
def test_numbers_out_of_range_are_refused_before_any_work(words, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(list(words))
    assert stopped.value.code == 2
    assert "must be a" in capsys.readouterr().err
