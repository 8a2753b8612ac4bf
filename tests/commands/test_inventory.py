# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""`mugv-jax info` of the enhancer and of ContentV."""

from pathlib import Path

import pytest

from mugv_jax import cli
from mugv_jax.systems.mugv.system import SYSTEM
from mugv_jax.weights.convert import convert
from mugv_jax.weights.torch_files import TorchSource
from tests.systems.contentv import folders as contentv_systems
from tests.systems.enhancer import folders as enhancer_systems
from tests.systems.wan import folders as wan_systems

CONFIGS = Path(__file__).parents[2] / "configs"
GIB = 2**30
PARAMETERS = {
    "contentv_8b": {
        "DiT (contentv_dit)": 8_056_627_520,
        "VAE (wan_vae_diffusers)": 126_892_531,
        "CLIP (clip_text)": 123_650_304,
        "second CLIP (clip_text)": 694_659_840,
        "T5 (t5_encoder)": 4_762_310_656,
    },
    "enhancer": {
        "DiT (wan_enhancer_dit)": 1_419_096_640,
        "VAE (wan_vae)": 126_892_531,
        "text encoder (umt5_encoder)": 5_680_910_336,
    },
    "wan_1_3b": {
        "DiT (wan_dit)": 1_418_996_800,
        "VAE (wan_vae)": 126_892_531,
        "text encoder (umt5_encoder)": 5_680_910_336,
    },
}


@pytest.fixture(scope="module")
def contentv(tmp_path_factory):
    return contentv_systems.write_published(tmp_path_factory.mktemp("contentv"))


@pytest.fixture(scope="module")
def enhancer(tmp_path_factory):
    return enhancer_systems.write_published(tmp_path_factory.mktemp("enhancer"))


@pytest.fixture(scope="module")
def wan(tmp_path_factory):
    return wan_systems.write_folder(tmp_path_factory.mktemp("wan"))


def kinds(report):
    return [model["kind"] for model in report["models"]]


def names(report):
    return [stage["name"] for stage in report["stages"]]


@pytest.mark.parametrize("name", PARAMETERS)
def test_full_size(info, name):
    printed = info(CONFIGS / f"{name}.py")
    docstring = (CONFIGS / f"{name}.py").read_text().partition("from ml_collections")[0]
    for title, parameters in PARAMETERS[name].items():
        section = printed.partition(f"{title}\n")[2].partition("\n\n")[0]
        assert section.endswith(f"parameters            {parameters:,}"), title
        assert f"{parameters:,}" in docstring.replace("\n", " ")
    report = info(CONFIGS / f"{name}.py", "--json")
    assert f"{report['video']['tokens']:,} tokens" in docstring
    needed = report["peak"]["bytes_per_device"] / GIB
    assert f"needs {needed:.1f} GiB per device" in printed


def test_contentv_as_it_is_sampled(info):
    report = info(CONFIGS / "contentv_8b.py", "--size", "16:9", "--frames", "125", "--json")
    assert report["video"]["latent_shape"] == [32, 54, 96]
    assert report["video"]["steps"] == 50
    assert report["video"]["flops_per_sample"] == 100 * report["video"]["flops_per_forward"]
    assert names(report) == ["CLIP", "second CLIP", "T5", "DiT step", "VAE decode"]
    (dit,) = (stage for stage in report["stages"] if stage["name"] == "DiT step")
    assert dit["weights"] == 2 * PARAMETERS["contentv_8b"]["DiT (contentv_dit)"]
    assert report["peak"]["stage"] == "DiT step"


def test_the_enhancer_as_it_runs(info):
    arguments = (CONFIGS / "enhancer.py", "--size", "1280x720", "--frames", "105")
    report = info(*arguments, "--json")
    assert report["video"]["latent_shape"] == [27, 90, 160]
    assert report["video"]["steps"] == 1
    assert names(report) == ["text encoder", "VAE encode", "DiT step", "VAE decode"]
    assert "(1 guided step)" in info(*arguments)
    tiled = info(*arguments, "--vae-tile", "512", "--json")
    whole, small = (
        {stage["name"]: stage["total"] for stage in each["stages"]} for each in (report, tiled)
    )
    assert small["VAE decode"] < 0.6 * whole["VAE decode"]  # a tile has a halo
    assert small["DiT step"] == whole["DiT step"]


@pytest.mark.parametrize("name", PARAMETERS)
def test_options_count_as_for_mugv(info, name):
    path = CONFIGS / f"{name}.py"
    needed = [
        info(path, "--json", "--devices", count)["peak"]["bytes_per_device"] for count in (1, 4)
    ]
    assert needed[0] > 1.5 * needed[1]
    weights = [
        {stage["name"]: stage["weights"] for stage in info(path, "--json", *more)["stages"]}
        for more in ([], ["--quantize", "int8"], ["--mesh", "sequence=2", "--platform", "tpu"])
    ]
    for narrow in weights[1:]:
        # Weights that are not stacked keep 16 bits, as does the enhancer's VAE beside its DiT.
        assert narrow["DiT step"] == pytest.approx(weights[0]["DiT step"] / 2, rel=0.2)


def test_a_mesh_splits_no_head(info):
    """ContentV has 38 heads: of eight devices, two can split them."""
    report = info(CONFIGS / "contentv_8b.py", "--json", "--devices", "8")
    assert report["mesh"].get("tensor", 1) in (1, 2)


def test_a_folder_of_contentv(contentv, info):
    report = info(contentv, "--size", "64x48", "--frames", "9", "--json")
    assert kinds(report) == [
        "contentv_dit",
        "wan_vae_diffusers",
        "clip_text",
        "clip_text",
        "t5_encoder",
    ]
    assert [Path(model["path"]).name for model in report["models"]] == [
        "transformer",
        "vae",
        "text_encoder",
        "text_encoder_2",
        "text_encoder_3",
    ]
    assert report["video"]["tokens"] == 3 * 3 * 4
    assert len(report["stages"]) == 5


def test_a_folder_of_the_enhancer(enhancer, info, monkeypatch):
    monkeypatch.delattr(TorchSource, "read")  # headers only
    report = info(enhancer, "--size", "64x48", "--frames", "9", "--json")
    assert kinds(report) == ["wan_enhancer_dit", "wan_vae", "umt5_encoder"]
    assert len(report["stages"]) == 4


def test_both_folders_of_wan_and_each_of_its_models(wan, tmp_path, info):
    stages = ["text encoder", "DiT step", "VAE decode"]
    original = wan_systems.write_original(wan, tmp_path / "original")
    for folder, which in ((wan, 1), (original, 0)):
        report = info(folder, "--size", "64x48", "--frames", "9", "--json")
        fields = wan_systems.SMALL.KINDS
        assert kinds(report) == [fields[field][which] for field in ("dit", "vae", "text")]
        assert names(report) == stages
    for name, stage in (("transformer", "DiT step"), ("text_encoder", "text encoder")):
        assert names(info(wan / name, "--size", "64x48", "--frames", "9", "--json")) == [stage]


def test_what_is_absent_is_said(contentv, tmp_path, info):
    for name in ("transformer", "text_encoder"):
        (tmp_path / name).symlink_to(contentv / name)
    printed = info(tmp_path)
    assert "second CLIP: not found, so not counted (in a folder it is text_encoder_2)" in printed
    assert "\nCLIP (clip_text)\n" in printed


def test_a_converted_enhancer_is_not_taken_for_mugv(
    enhancer, contentv, tmp_path, info, monkeypatch
):
    """Both have folders dit, vae and text_encoder, and differ in their contents."""
    elsewhere = contentv / "text_encoder_3"  # a local T5
    monkeypatch.setitem(SYSTEM.elsewhere, "text", str(elsewhere))
    for name, published in (("dit", "dit_i2v.safetensors"), ("vae", "Wan2.1_VAE.pth")):
        convert(enhancer / published, tmp_path / name)
    report = info(tmp_path, "--json")
    assert kinds(report) == ["wan_enhancer_dit", "wan_vae"]
    assert names(report) == ["VAE encode", "DiT step", "VAE decode"]


def test_single_files(contentv, enhancer, info):
    for path, kind, stages in (
        (enhancer / "dit_i2v.safetensors", "wan_enhancer_dit", ["DiT step"]),
        (enhancer / "Wan2.1_VAE.pth", "wan_vae", ["VAE encode", "VAE decode"]),
        (enhancer / "models_t5_umt5-xxl-enc-bf16.pth", "umt5_encoder", ["text encoder"]),
        (contentv / "transformer", "contentv_dit", ["DiT step"]),
        (contentv / "vae", "wan_vae_diffusers", ["VAE decode"]),
        (contentv / "text_encoder_2", "clip_text", ["CLIP"]),
        (contentv / "text_encoder_3", "t5_encoder", ["text encoder"]),  # as MUG-V's
    ):
        report = info(path, "--size", "64x48", "--frames", "9", "--json")
        assert kinds(report) == [kind]
        assert names(report) == stages


def test_models_of_two_systems_are_one_line(contentv, enhancer, tmp_path, capsys):
    for name in ("transformer", "vae", "text_encoder", "text_encoder_2"):
        (tmp_path / name).symlink_to(contentv / name)
    (tmp_path / "text_encoder_3").symlink_to(contentv / "text_encoder_2")
    assert cli.main(["info", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert "text_encoder_3" in error
    assert error.strip().count("\n") == 0
    other = tmp_path / "other"
    other.mkdir()
    (other / "dit_i2v.safetensors").symlink_to(enhancer / "dit_i2v.safetensors")
    (other / "Wan2.1_VAE.pth").symlink_to(enhancer / "models_t5_umt5-xxl-enc-bf16.pth")
    assert cli.main(["info", str(other)]) == 2
    error = capsys.readouterr().err
    assert "holds umt5_encoder, not wan_vae or wan_vae_diffusers" in error
