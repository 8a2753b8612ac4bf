# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import dataclasses
import json
import shutil
from pathlib import Path

import huggingface_hub
import jax
import numpy as np
import pytest
import safetensors.numpy

from mugv_jax.systems.contentv.models import ContentvModels, find_contentv
from mugv_jax.weights.adapter_files import CONFIG_FILE, MODEL_FILE
from tests.systems.contentv.folders import CORPUS, SMALL, write_published
from tests.vocabulary import write_clip_vocabulary

Q, DOWN = "transformer_blocks.{}.attn.to_q", "transformer_blocks.2.ff.net.2"
RANK, ALPHA = 2, 6.0
SUMMED = {"rtol": 1e-4, "atol": 1e-5}  # float32 weights of order 1 and the difference of two


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> Path:
    return write_published(tmp_path_factory.mktemp("published"))


@pytest.fixture
def copied(published, tmp_path) -> Path:
    """A folder to damage."""
    return shutil.copytree(published, tmp_path / "weights")


def test_weights_land_where_the_mesh_wants_them(published):
    models = ContentvModels.from_pretrained(published, mesh={"tensor": 2, "sequence": 2})
    assert models.config == SMALL
    assert set(models.sources) == {*SMALL.KINDS, "tokenizer", "tokenizer_2", "tokenizer_3"}
    with models.model("dit") as (_, variables):
        kernel = variables["params"]["blocks"]["video"]["mlp"]["up"]["kernel"]
        assert kernel.shape == (2, 32, 128)
        assert {shard.data.shape for shard in kernel.addressable_shards} == {(2, 16, 64)}


def test_a_repository_gives_what_is_needed_and_no_more(published, monkeypatch):
    asked = []

    def download(repo, *, allow_patterns, **_):
        asked.append((repo, allow_patterns))
        return str(published)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    found = find_contentv("them/contentv")
    assert found["clip_g"] == published / "text_encoder_2"
    assert found["tokenizer_3"] == published / "tokenizer_3"
    ((repo, patterns),) = asked
    assert repo == "them/contentv"
    assert {"transformer/*", "vae/*", "text_encoder_3/*", "tokenizer/*"} <= set(patterns)
    assert "*" not in patterns
    assert find_contentv("them/contentv", dit="runs/dit")["dit"] == Path("runs/dit")
    assert not [pattern for pattern in asked[1][1] if "transformer" in pattern]


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("transformer", "holds no contentv_dit weights: looked for transformer"),
        ("vae", "holds no wan_vae_diffusers weights: looked for vae"),
        ("text_encoder_2", "holds no clip_text weights: looked for text_encoder_2"),
        ("tokenizer_3", "holds no tokenizer weights: looked for tokenizer_3"),
        ("vae/config.json", None),  # the shapes tell all
        ("vae/diffusion_pytorch_model.safetensors", "vae: no checkpoint in this folder"),
        (
            "transformer/diffusion_pytorch_model-00003-of-00009.safetensors",
            "1 of 9 shards are missing: diffusion_pytorch_model-00003-of-00009.safetensors; fetch",
        ),
    ],
)
def test_a_part_that_is_missing_is_named_in_one_line(copied, part, message):
    if (copied / part).is_dir():
        shutil.rmtree(copied / part)
    else:
        (copied / part).unlink()
    if message is None:
        assert ContentvModels.from_pretrained(copied).config == SMALL
        return
    with pytest.raises(ValueError, match=message) as caught:
        ContentvModels.from_pretrained(copied)
    assert "\n" not in str(caught.value)


def test_a_model_in_the_place_of_another_is_refused(copied):
    shutil.rmtree(copied / "text_encoder_3")
    shutil.copytree(copied / "text_encoder_2", copied / "text_encoder_3")
    with pytest.raises(ValueError, match=r"text_encoder_3.*: not a T5 v1\.1 encoder"):
        ContentvModels.from_pretrained(copied)


def test_models_that_do_not_fit_together_are_refused(copied):
    shutil.rmtree(copied / "text_encoder")
    shutil.copytree(copied / "text_encoder_2", copied / "text_encoder")
    with pytest.raises(ValueError, match="summaries of width 32, but both CLIPs make 40 together"):
        ContentvModels.from_pretrained(copied)


@pytest.mark.parametrize(
    ("field", "change", "message"),
    [
        ("dit", {"depth": 4}, r"transformer has other sizes .* depth=3 \(expected 4\)"),
        ("clip_g", {"depth": 4}, r"text_encoder_2 has other sizes .* depth=3 \(expected 4\)"),
    ],
)
def test_weights_of_another_size_than_asked_for_are_refused(published, field, change, message):
    other = dataclasses.replace(getattr(SMALL, field), **change)
    with pytest.raises(ValueError, match=message):
        ContentvModels.from_pretrained(
            published, expected=dataclasses.replace(SMALL, **{field: other})
        )


def test_tokenizers_of_another_model_are_refused(copied):
    models = ContentvModels.from_pretrained(copied)
    write_clip_vocabulary(copied / "tokenizer_2", ["fewer words"], "!")
    with pytest.raises(ValueError, match="tokenizer_2 ends texts with another token than 558"):
        models.tokenize(CORPUS)
    write_clip_vocabulary(copied / "tokenizer_2", ["many", "more", "words", *CORPUS], "!")
    with pytest.raises(ValueError, match=r"tokens, but the text encoder only 559"):
        models.tokenize(CORPUS)


def test_both_clips_read_77_tokens_and_t5_256(published):
    ids = ContentvModels.from_pretrained(published).tokenize(CORPUS)
    assert {name: rows.shape for name, rows in ids.items()} == {
        "clip_l": (3, 77),
        "clip_g": (3, 77),
        "text": (3, 256),
    }
    assert [ids[name][0, -1] for name in ("clip_l", "clip_g")] == [558, 0]
    np.testing.assert_array_equal(ids["clip_l"][:, :4], ids["clip_g"][:, :4])


def write_adapter(folder: Path) -> dict[str, np.ndarray]:
    """Updates of three layers as peft saves them; what they add, by published name."""
    shapes = {Q.format(0): (32, 32), Q.format(1): (32, 32), DOWN: (32, 128)}
    rng, added, tensors = np.random.default_rng(0), {}, {}
    for layer, (outputs, inputs) in shapes.items():
        b, a = (
            rng.standard_normal(s).astype(np.float32) for s in ((outputs, RANK), (RANK, inputs))
        )
        tensors[f"base_model.model.{layer}.lora_A.weight"] = a
        tensors[f"base_model.model.{layer}.lora_B.weight"] = b
        added[layer] = ALPHA / RANK * b @ a
    folder.mkdir()
    safetensors.numpy.save_file(tensors, folder / MODEL_FILE)
    described = {"peft_type": "LORA", "r": RANK, "lora_alpha": ALPHA, "bias": "none"}
    (folder / CONFIG_FILE).write_text(json.dumps(described))
    return added


def test_an_adapter_is_merged_and_another_transformer_taken(published, tmp_path):
    added = write_adapter(tmp_path / "adapter")
    elsewhere = shutil.copytree(published / "transformer", tmp_path / "elsewhere")
    params = []
    for options in ({}, {"dit": elsewhere, "lora": tmp_path / "adapter"}):
        models = ContentvModels.from_pretrained(published, **options)
        with models.model("dit") as (_, variables):
            params.append(jax.tree.map(np.asarray, variables["params"]))
    assert models.sources["dit"] == elsewhere
    before, after = params
    q = after["blocks"]["video"]["q"]["kernel"] - before["blocks"]["video"]["q"]["kernel"]
    for layer in (0, 1):
        expected = added[Q.format(layer)].T
        np.testing.assert_allclose(q[layer].reshape(32, 32), expected, **SUMMED)
    assert not np.any(after["text_embed"]["kernel"] - before["text_embed"]["kernel"])
    down = (tree["last_block"]["video"]["mlp"]["down"]["kernel"] for tree in (after, before))
    np.testing.assert_allclose(np.subtract(*down), added[DOWN].T, **SUMMED)
