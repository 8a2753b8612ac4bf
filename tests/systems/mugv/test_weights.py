# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import fnmatch
import importlib.resources
from pathlib import Path

import huggingface_hub
import pytest

from mugv_jax.systems.mugv.defaults import find_defaults, read_defaults
from mugv_jax.systems.mugv.models import demo_weights, find_weights
from mugv_jax.systems.mugv.system import TEXT_ENCODER

ROOT = Path(__file__).parents[3]
DEMO = (
    *(
        "dit.safetensors",
        "vae.safetensors",
        "tiny_decoder.safetensors",
        "defaults.json",
        "README.md",
        "reward.safetensors",
        "picture.png",
    ),
    *("prompts.txt", "reward.safetensors"),
    *(f"few_steps/{name}" for name in ("dit.safetensors", "defaults.json")),
    *(f"text_encoder/{name}" for name in ("config.json", "model.safetensors", "spiece.model")),
)


@pytest.fixture
def folder(tmp_path):
    for name in ("dit.pt", "vae.pt"):
        (tmp_path / name).touch()
    (tmp_path / "text_encoder").mkdir()
    return tmp_path


@pytest.fixture
def hub(tmp_path_factory, monkeypatch):
    """Repositories by id: (files, requested patterns); no others can be reached."""
    repositories, asked = {}, []

    def download(repo, *, allow_patterns, **_):
        asked.append(repo)
        if repo not in repositories:
            raise ConnectionError("no route\nto host")
        snapshot = tmp_path_factory.mktemp("snapshot")
        for name in repositories[repo]:
            if any(fnmatch.fnmatch(name, pattern) for pattern in allow_patterns):
                (snapshot / name).parent.mkdir(parents=True, exist_ok=True)
                (snapshot / name).touch()
        return str(snapshot)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    return repositories, asked


def test_models_are_found_beside_each_other(folder):
    found = find_weights(folder)
    assert (found["dit"], found["vae"]) == (folder / "dit.pt", folder / "vae.pt")
    assert found["text"] == found["tokenizer"] == folder / "text_encoder"


def test_converted_weights_come_before_published_ones(folder):
    for name in ("dit", "vae", "tokenizer"):
        (folder / name).mkdir()
    found = find_weights(folder)
    assert (found["dit"], found["vae"]) == (folder / "dit", folder / "vae")
    assert found["tokenizer"] == folder / "tokenizer"


def test_models_may_lie_elsewhere(folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("t5")
    assert find_weights(folder, text_encoder=elsewhere)["tokenizer"] == elsewhere
    found = find_weights(folder, tokenizer=elsewhere)
    assert (found["text"], found["tokenizer"]) == (folder / "text_encoder", elsewhere)


def test_what_is_missing_is_named_before_anything_is_downloaded(folder, hub):
    (folder / "text_encoder").rmdir()
    (folder / "vae.pt").unlink()
    with pytest.raises(ValueError, match=r"holds no mugv_vae weights: looked for vae, vae\.pt"):
        find_weights(folder)
    assert not hub[1]


def test_repositories_give_what_is_needed_and_no_more(hub):
    repositories, asked = hub
    shards = ["pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"]
    repositories["them/mugv"] = [
        *shards, "pytorch_model.bin.index.json", "vae.pt", "README.md", "enhancer/dit.safetensors",
    ]  # fmt: skip
    repositories[TEXT_ENCODER] = ["config.json", "pytorch_model.bin", "spiece.model", "tf_model.h5"]
    found = find_weights("them/mugv")
    assert asked == ["them/mugv", TEXT_ENCODER]
    snapshot = found["dit"].parent
    assert found["dit"].name == "pytorch_model.bin.index.json"
    assert {path.name for path in snapshot.iterdir()} == {*shards, found["dit"].name, "vae.pt"}
    assert not (found["text"] / "tf_model.h5").exists()
    assert (found["tokenizer"] / "spiece.model").exists()


def test_defaults_beside_weights_are_found_before_the_weights_are_fetched(folder, hub):
    repositories, asked = hub
    assert find_defaults(folder) is None
    (folder / "defaults.json").touch()
    assert find_defaults(folder) == folder / "defaults.json"
    repositories["them/plain"] = ["dit.pt"]
    repositories["them/small"] = ["dit.pt", "defaults.json"]
    assert find_defaults("them/plain") is None
    found = find_defaults("them/small")
    assert [path.name for path in found.parent.iterdir()] == ["defaults.json"]
    assert asked == ["them/plain", "them/small"]


def test_weights_of_the_demo_come_with_the_package(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.resources, "files", {"mugv_jax": tmp_path}.__getitem__)
    with pytest.raises(ValueError, match=r"no weights: this installation lacks .*demo"):
        demo_weights()
    folder = tmp_path / "assets" / "demo"
    for name in DEMO:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    assert demo_weights() == folder
    found = find_weights(folder)
    assert (found["dit"], found["vae"]) == (folder / "dit.safetensors", folder / "vae.safetensors")
    assert found["text"] == found["tokenizer"] == folder / "text_encoder"
    assert find_weights(folder, dit="few_steps")["dit"] == folder / "few_steps" / "dit.safetensors"
    assert find_weights(folder, dit="none")["dit"] == Path("none")  # an error when it is read
    shipped = ROOT / "mugv_jax" / "assets" / "demo"
    few = read_defaults(shipped, dit="few_steps")
    assert (few.steps, few.guidance) == (2, 1)
    assert read_defaults(shipped).steps == 8
    assert {path for path in shipped.rglob("*") if path.is_file()} == {shipped / n for n in DEMO}


def test_a_text_encoder_that_cannot_be_had_is_told_from_weights_that_cannot(folder, hub):
    (folder / "text_encoder").rmdir()
    with pytest.raises(ValueError, match=f"holds no text encoder .*, and {TEXT_ENCODER} is no"):
        find_weights(folder)
    assert hub[1] == [TEXT_ENCODER]


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ("them/gone", r"them/gone is no local folder, .* could not be downloaded \(no route\)"),
        ("/nowhere", "/nowhere does not exist, and is not a repository id"),
        ("./them/mugv", "does not exist, and is not a repository id"),
        (__file__, "is a file: give the folder"),
    ],
)
def test_what_is_neither_folder_nor_repository_is_refused(weights, message, hub):
    assert not hub[0]
    with pytest.raises(ValueError, match=message) as caught:
        find_weights(weights)
    assert "\n" not in str(caught.value)


def test_a_missing_dit_is_no_error_where_none_is_needed(folder):
    (folder / "dit.pt").unlink()
    assert "dit" not in find_weights(folder, needs_dit=False)
    with pytest.raises(ValueError, match="holds no mugv_dit weights"):
        find_weights(folder)
