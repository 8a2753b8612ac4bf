# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import json
import os
import shutil
from pathlib import Path

import diffusers
import pytest
import safetensors.torch
import torch
import transformers

from mugv_jax import cli
from mugv_jax.systems.contentv.system import PIPELINE
from mugv_jax.systems.convert import convert
from mugv_jax.weights import diffusers_folder, store
from mugv_jax.weights.describe import describe
from mugv_jax.weights.formats import open_source
from mugv_jax.weights.load import read_config
from mugv_jax.weights.registry import MODELS
from tests.systems.contentv.folders import SMALL, write_published
from tests.systems.mugv.folders import published_tensors
from tests.weights import checkpoints

CONFIGS = dict(zip(PIPELINE.models, (SMALL.dit, SMALL.vae, SMALL.clip_l, SMALL.clip_g, SMALL.text)))
FEW_BYTES = 20_000  # a shard of the small models


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> Path:
    return write_published(tmp_path_factory.mktemp("published"))


@pytest.fixture(scope="module")
def orbax(published, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("converted") / "orbax"
    convert(published, folder)
    return folder


@pytest.fixture
def copied(published, tmp_path) -> Path:
    """Copy of the published folder, to be damaged."""
    return shutil.copytree(published, tmp_path / "published")


def tensors(folder: Path) -> checkpoints.Tensors:
    """Tensors of all shards of a folder."""
    found = {}
    for path in sorted(folder.glob("*.safetensors")):
        shard = safetensors.torch.load_file(path)
        assert not found.keys() & shard.keys()
        found |= shard
    return found


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", PIPELINE.models)
def test_published_folders_are_known(published, name):
    assert read_config(published / name) == (PIPELINE.models[name], CONFIGS[name])
    described = describe(published / name)
    assert (described.kind, described.unused) == (PIPELINE.models[name], 0)
    stored = sum(tensor.numel() for tensor in tensors(published / name).values())
    assert described.parameters == stored


def test_a_pipeline_goes_to_orbax_and_back_bit_for_bit(published, orbax, tmp_path):
    assert not tensors(orbax / "vae")
    convert(orbax, tmp_path / "back", format="diffusers")
    for name in PIPELINE.models:
        checkpoints.assert_identical(tensors(tmp_path / "back" / name), tensors(published / name))
        assert read_config(tmp_path / "back" / name) == (PIPELINE.models[name], CONFIGS[name])
    for folder in (orbax, tmp_path / "back"):
        for name in (*PIPELINE.tokenizers, "scheduler", "model_index.json"):
            for path in (published / name).rglob("*") if "." not in name else [published / name]:
                copy = folder / path.relative_to(published)
                assert copy.read_bytes() == path.read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["back"]


def test_the_libraries_load_written_folders(orbax, tmp_path):
    made = convert_all(orbax, tmp_path)
    vae = diffusers.AutoencoderKLWan.from_pretrained(made / "vae")
    clips = [
        transformers.CLIPTextModelWithProjection.from_pretrained(made / name)
        for name in ("text_encoder", "text_encoder_2")
    ]
    t5 = transformers.T5EncoderModel.from_pretrained(made / "text_encoder_3")
    loaded = dict(zip(list(PIPELINE.models)[1:], (vae, *clips, t5), strict=True))
    for name, module in loaded.items():
        stored = tensors(made / name)
        state = module.state_dict()
        checkpoints.assert_identical({key: state[key] for key in stored}, stored)
    assert clips[0].config.eos_token_id == SMALL.clip_l.end
    assert (vae.config.latents_mean[0], vae.config.latents_std[0]) == (-0.7571, 2.8184)
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler.from_pretrained(made / "scheduler")
    assert scheduler.config.shift == 17.0


def convert_all(orbax: Path, tmp_path: Path) -> Path:
    convert(orbax, tmp_path / "back", format="diffusers")
    return tmp_path / "back"


def test_a_missing_index_and_scheduler_are_written(orbax, tmp_path):
    bare = tmp_path / "bare"
    for name in PIPELINE.models:
        shutil.copytree(orbax / name, bare / name)
    made = convert_all(bare, tmp_path)
    index = json.loads((made / "model_index.json").read_text())
    assert index["vae"] == ["diffusers", "AutoencoderKLWan"]
    assert (
        index["transformer"][1]
        == json.loads((made / "transformer/config.json").read_text())["_class_name"]
    )
    assert json.loads((made / "scheduler/scheduler_config.json").read_text()) == PIPELINE.scheduler


def test_larger_models_are_written_in_shards(published, tmp_path, monkeypatch):
    monkeypatch.setattr(diffusers_folder, "SHARD_BYTES", FEW_BYTES)
    convert(published / "text_encoder", tmp_path / "orbax", dtype="bfloat16")
    convert(tmp_path / "orbax", tmp_path / "clip", format="diffusers")
    shards = sorted(path.name for path in (tmp_path / "clip").glob("*.safetensors"))
    count = len(shards)
    assert count > 1
    assert shards == [f"model-{i:05d}-of-{count:05d}.safetensors" for i in range(1, count + 1)]
    assert files(tmp_path / "clip") == {*shards, "config.json", "model.safetensors.index.json"}
    whole = tensors(tmp_path / "clip")
    assert {tensor.dtype for tensor in whole.values()} == {torch.bfloat16}
    index = json.loads((tmp_path / "clip" / "model.safetensors.index.json").read_text())
    assert index["metadata"]["total_size"] == sum(tensor.nbytes for tensor in whole.values())
    assert set(index["weight_map"]) == set(whole)
    for path in (tmp_path / "clip").glob("*.safetensors"):
        assert path.stat().st_size < FEW_BYTES + 10_000  # and a header
    loaded = transformers.CLIPTextModelWithProjection.from_pretrained(
        tmp_path / "clip", dtype="auto"
    )
    state = loaded.state_dict()
    checkpoints.assert_identical({name: state[name] for name in whole}, whole)


@pytest.mark.parametrize(
    ("folder", "missing"),
    [
        ("transformer", "diffusion_pytorch_model-00002-of-00009.safetensors"),
        ("text_encoder_3", "model-00001-of-00002.safetensors"),
    ],
)
def test_a_missing_shard_is_one_clear_line(copied, folder, missing, tmp_path, capsys):
    (copied / folder / missing).unlink()
    assert cli.main(["convert", str(copied), str(tmp_path / "out")]) == 2
    printed = capsys.readouterr().err
    assert f"shards are missing: {missing}; fetch them into {copied / folder}." in printed
    assert printed.count("\n") == 1
    assert os.listdir(tmp_path) == ["published"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "torch"}, "is a whole pipeline, .* write it as orbax or diffusers"),
        ({"kind": "t5_encoder"}, "is a whole pipeline: .* convert that one alone"),
        ({"ema": True}, "convert that one alone"),
        ({"lora": "adapter"}, "convert that one alone"),
    ],
)
def test_options_of_one_model_are_refused_for_a_pipeline(orbax, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        convert(orbax, tmp_path / "out", **options)
    assert not os.listdir(tmp_path)


def test_a_pipeline_of_other_parts_is_refused(copied, tmp_path):
    shutil.rmtree(copied / "text_encoder_2")
    (copied / "model_index.json").write_text('{"_class_name": "Other", "unet": ["diffusers", "U"]}')
    message = (
        "a pipeline without text_encoder_2; with an unknown unet. "
        "The known one that is nearest is ContentV's"
    )
    with pytest.raises(ValueError, match=message):
        convert(copied, tmp_path / "out")
    (copied / "model_index.json").write_text("[1]")
    with pytest.raises(ValueError, match=r"model_index.json: no index of a pipeline"):
        convert(copied, tmp_path / "out")


def test_a_model_in_the_place_of_another_is_found_before_anything_is_written(copied, tmp_path):
    shutil.rmtree(copied / "text_encoder_3")
    shutil.copytree(copied / "text_encoder", copied / "text_encoder_3")
    with pytest.raises(ValueError, match=r"text_encoder_3.*: not a T5 v1.1 encoder checkpoint"):
        convert(copied, tmp_path / "out")
    assert os.listdir(tmp_path) == ["published"]


def test_models_that_the_libraries_lack_are_refused(tmp_path):
    kind = "umt5_encoder"
    tensors = published_tensors(kind, MODELS[kind].example)
    source = checkpoints.save(tmp_path / "in.pt", tensors)
    with pytest.raises(ValueError, match="neither diffusers nor transformers has umt5_encoder"):
        convert(source, tmp_path / "out", format="diffusers", kind=kind)
    assert os.listdir(tmp_path) == ["in.pt"]


def test_the_vae_of_another_model_is_refused(copied):
    config = json.loads((copied / "vae" / "config.json").read_text())
    config["latents_mean"][3] = 0.5
    (copied / "vae" / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"latents_mean=.* this is the VAE of another model"):
        read_config(copied / "vae")


def test_a_pipeline_is_replaced_by_a_complete_one_only(orbax, copied, tmp_path, monkeypatch):
    target = tmp_path / "target"
    convert(orbax, target, format="diffusers")
    before = files(target)
    with pytest.raises(ValueError, match="exists; pass --overwrite"):
        convert(copied, target)

    def interrupted(*_args, **_kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(store.LazyTensor, "pieces", interrupted)
        with pytest.raises(KeyboardInterrupt):
            convert(copied, target, overwrite=True)
    assert files(target) == before
    convert(copied, target, overwrite=True)
    with open_source(target / "transformer") as source:
        assert source.format == "orbax"
    assert sorted(os.listdir(tmp_path)) == ["published", "target"]
