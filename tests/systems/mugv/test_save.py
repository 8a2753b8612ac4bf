# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""MUG-V as one folder in the layout of diffusers, written and read bit for bit."""

import json

import numpy as np
import pytest
import safetensors.torch
import torch

from mugv_jax.systems.convert import convert
from mugv_jax.systems.mugv.models import MugvModels
from mugv_jax.systems.mugv.pipeline import MugvPipeline
from tests.systems.mugv.folders import SMALL, published_tensors, write_published
from tests.weights import checkpoints

KINDS = {"transformer": ("mugv_dit", SMALL.dit), "vae": ("mugv_vae", SMALL.vae)}


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    folder = write_published(tmp_path_factory.mktemp("published"))
    (folder / "defaults.json").write_text('{"steps": 3}')
    return folder


@pytest.fixture(scope="module")
def saved(published, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "folder"
    MugvPipeline.from_pretrained(published).save_pretrained(folder)
    return folder


def tensors(folder):
    (path,) = folder.glob("*.safetensors")
    return safetensors.torch.load_file(path)


def test_the_folder_has_the_layout_of_diffusers(saved):
    index = json.loads((saved / "model_index.json").read_text())
    assert index["_class_name"] == "MugvPipeline"
    parts = {name for name in index if not name.startswith("_")}
    assert parts == {path.name for path in saved.iterdir() if path.is_dir()}
    for name, (kind, config) in KINDS.items():
        checkpoints.assert_identical(tensors(saved / name), published_tensors(kind, config))
        described = json.loads((saved / name / "config.json").read_text())
        assert described["_class_name"] == index[name][1]
    assert (saved / "text_encoder" / "model.safetensors").is_file()
    assert not list((saved / "tokenizer").glob("*.bin"))


def test_the_folder_is_read_like_the_files_it_came_from(published, saved):
    one, other = (MugvPipeline.from_pretrained(folder) for folder in (published, saved))
    assert one.models.config == other.models.config == SMALL
    assert other.defaults.steps == 3
    text = ["a red paper boat"]
    np.testing.assert_array_equal(one.models.tokenize(text)[0], other.models.tokenize(text)[0])
    assert other.models.sources["tokenizer"] == saved / "tokenizer"


def test_it_goes_to_orbax_and_back_bit_for_bit(saved, tmp_path):
    convert(saved, tmp_path / "orbax")
    assert MugvModels.from_pretrained(tmp_path / "orbax").config == SMALL
    convert(tmp_path / "orbax", tmp_path / "back", format="diffusers")
    for name in KINDS:
        checkpoints.assert_identical(tensors(tmp_path / "back" / name), tensors(saved / name))
    assert (tmp_path / "back" / "defaults.json").read_bytes() == (
        saved / "defaults.json"
    ).read_bytes()


def test_adapters_are_loaded_switched_and_merged_when_saved(published, saved, tmp_path):
    name, rank = "blocks.0.mlp.fc1", 2
    up, down = SMALL.dit.mlp_dim, SMALL.dit.width
    update = {f"{name}.lora_A.weight": torch.ones(rank, down),
              f"{name}.lora_B.weight": torch.ones(up, rank)}  # fmt: skip
    adapter = tmp_path / "ones.safetensors"
    safetensors.torch.save_file(update, adapter)
    pipe = MugvPipeline.from_pretrained(published, lora_alpha=2.0)
    pipe.load_lora_weights(tmp_path, weight_name=adapter.name, adapter_name="ones")
    pipe.set_adapters("ones", 0.5)
    assert pipe.models.arguments["lora"] == [(str(adapter), 0.5)]
    assert set(pipe.models.digests()) == {"dit", "vae", "text", "tokenizer", "lora"}
    with pytest.raises(ValueError, match="adapter 'twos' is not loaded; loaded are: ones"):
        pipe.set_adapters(["twos"])
    pipe.save_pretrained(tmp_path / "merged")
    before, after = (tensors(folder / "transformer") for folder in (saved, tmp_path / "merged"))
    assert [key for key in before if not torch.equal(before[key], after[key])] == [f"{name}.weight"]
    pipe.unload_lora_weights()
    assert "lora" not in pipe.models.digests()
    with pytest.raises(ValueError, match="exists"):
        pipe.save_pretrained(tmp_path / "merged")
