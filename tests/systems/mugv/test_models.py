# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import dataclasses
import shutil

import jax
import numpy as np
import pytest
import torch

from mugv_jax.systems.mugv.models import MugvModels
from mugv_jax.systems.mugv.pipeline import MugvPipeline
from mugv_jax.systems.mugv.request import Request, read_given
from mugv_jax.systems.mugv.size import VideoSize
from mugv_jax.weights.convert import convert
from tests.systems.mugv.folders import CORPUS, SMALL, published_tensors, write_published

IMAGE = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    return write_published(tmp_path_factory.mktemp("published"))


@pytest.fixture
def copied(published, tmp_path):
    """A folder to damage."""
    return shutil.copytree(published, tmp_path / "weights")


def test_published_and_converted_files_make_the_same_video(published, tmp_path):
    convert(published / "dit.pt", tmp_path / "dit")
    convert(published / "vae.pt", tmp_path / "vae")
    convert(published / "text_encoder", tmp_path / "text_encoder")
    (tmp_path / "tokenizer").mkdir()
    shutil.copy(published / "text_encoder" / "spiece.model", tmp_path / "tokenizer")
    made = [
        MugvPipeline.from_pretrained(folder).generate(
            CORPUS[0], image=IMAGE, size=(48, 32), frames=17, steps=2, progress=False
        )
        for folder in (published, tmp_path)
    ]
    assert MugvPipeline.from_pretrained(tmp_path).models.config == SMALL
    np.testing.assert_array_equal(made[0].frames, made[1].frames)
    assert len(np.unique(made[0].frames[1:])) > 100  # a picture, not a constant


def test_weights_land_where_the_mesh_wants_them(published):
    models = MugvModels.from_pretrained(published, mesh={"tensor": 2, "sequence": 2})
    names = {"dit": "dit.pt", "vae": "vae.pt", "text": "text_encoder"}
    assert models.sources == {
        **{field: published / name for field, name in names.items()},
        "tokenizer": published / "text_encoder",
    }
    with models.model("dit") as (_, variables):
        kernel = variables["params"]["blocks"]["mlp"]["up"]["kernel"]
        assert kernel.shape == (2, 96, 384)
        assert {shard.data.shape for shard in kernel.addressable_shards} == {(2, 48, 192)}


@pytest.mark.parametrize(
    ("group", "field", "message"),
    [
        ("dit", "depth", r"dit.pt has other sizes than the config: depth=2 \(expected 3\)"),
        ("text", "mlp_dim", r"text_encoder has other .* mlp_dim=64 \(expected 65\)"),
    ],
)
def test_weights_of_another_size_than_asked_for_are_refused(published, group, field, message):
    sizes = getattr(SMALL, group)
    other = dataclasses.replace(sizes, **{field: getattr(sizes, field) + 1})
    with pytest.raises(ValueError, match=message):
        MugvModels.from_pretrained(published, expected=dataclasses.replace(SMALL, **{group: other}))
    assert MugvModels.from_pretrained(published, expected=SMALL).config == SMALL


def test_models_of_different_systems_are_refused(copied):
    other = dataclasses.replace(SMALL.dit, text_dim=48)
    torch.save(published_tensors("mugv_dit", other), copied / "dit.pt")
    with pytest.raises(ValueError, match="text states of width 48, but the text encoder makes 32"):
        MugvModels.from_pretrained(copied)


@pytest.mark.parametrize(
    ("file", "damage", "message"),
    [
        ("dit.pt", lambda content: content[:5000], r"dit.pt: the file ends too early"),
        ("vae.pt", lambda content: content[:-2000], r"vae.pt: "),
        ("dit.pt", lambda _: b"", r"dit.pt: not a zip file"),
        ("dit.pt", lambda _: b"<html>not found</html>", r"dit.pt: not a zip file"),
        ("text_encoder/config.json", lambda content: content[:-9], r"config.json: not JSON"),
    ],
)
def test_damaged_files_are_named_in_one_line(copied, file, damage, message):
    path = copied / file
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=message) as caught:
        MugvModels.from_pretrained(copied)
    assert "\n" not in str(caught.value)


def test_missing_and_unknown_tensors_are_named_before_any_model_loads(copied):
    tensors = published_tensors("mugv_dit", SMALL.dit)
    del tensors["start_token"]
    torch.save(tensors | {"extra": torch.zeros(3)}, copied / "dit.pt")
    with pytest.raises(ValueError, match="1 missing: start_token; 1 unexpected: extra"):
        MugvModels.from_pretrained(copied)


def test_files_in_each_others_place_are_refused(copied):
    (copied / "vae.pt").replace(copied / "other.pt")
    (copied / "dit.pt").replace(copied / "vae.pt")
    (copied / "other.pt").replace(copied / "dit.pt")
    with pytest.raises(ValueError, match=r"dit.pt: "):
        MugvModels.from_pretrained(copied)


def test_a_tokenizer_of_another_model_is_refused(published):
    small = dataclasses.replace(SMALL.text, vocab_size=100)
    models = MugvModels.random(dataclasses.replace(SMALL, text=small))
    with pytest.raises(ValueError, match="the tokenizer has 259 tokens, but the text encoder only"):
        models.tokenize(["a boat"])
    ids, mask = MugvModels.from_pretrained(published).tokenize(CORPUS)
    assert ids.shape == mask.shape == (len(CORPUS), 300)


def test_a_long_prompt_keeps_the_score_that_the_request_appends(caplog):
    models = MugvModels.random(SMALL)
    request = Request(
        prompts=("a boat " * 60,), size=VideoSize(width_px=32, height_px=32, frames=9)
    )
    (text,) = request.texts()
    ids, mask = models.tokenize([text])
    kept = bytes(int(token) - 3 for token in ids[0, :-1]).decode()  # ids of bytes, and the end
    assert mask.all()
    assert kept.endswith(" aesthetic score: 6.0.")
    assert kept.startswith("a boat a boat")
    assert (
        f"{len(text) + 1 - 300} tokens were cut off before 'aesthetic score: 6.0.'" in caplog.text
    )


def test_random_weights_depend_on_the_seed_alone():
    trees = []
    for options in ({"seed": 1}, {"seed": 1, "mesh": {"tensor": 2, "sequence": 2}}, {"seed": 2}):
        with MugvModels.random(SMALL, **options).model("vae") as (_, variables):
            trees.append(jax.tree.map(np.asarray, variables))
    jax.tree.map(np.testing.assert_array_equal, trees[0], trees[1])
    kernels = [tree["params"]["quant_conv"]["kernel"] for tree in trees]
    assert not np.array_equal(kernels[0], kernels[2])


def test_a_model_in_use_is_not_freed_by_another_user():
    models = MugvModels.random(SMALL)
    with models.model("text") as (_, outer):
        with models.model("text") as (_, inner):
            assert inner is outer
        assert not any(leaf.is_deleted() for leaf in jax.tree.leaves(outer))
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(outer))


def test_eight_bit_weights_make_nearly_the_same_latent(published):
    request = Request(
        prompts=(CORPUS[0],), size=VideoSize(width_px=48, height_px=32, frames=9), steps=2
    )
    exact, eight = (
        MugvPipeline.from_pretrained(published, quantize=quantize).sample(
            request, read_given(request), progress=False
        )[0]
        for quantize in (None, "int8")
    )
    error = np.linalg.norm(eight.latent - exact.latent) / np.linalg.norm(exact.latent)
    assert 1e-5 < error < 3e-2


def test_unknown_kinds_of_weights_are_refused_before_they_are_looked_for():
    with pytest.raises(ValueError, match="quantize='int4' must be one of int8, fp8"):
        MugvModels.from_pretrained("nobody/nothing", quantize="int4")
