# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest
import safetensors.torch
import torch

from mugv_jax import cli
from mugv_jax.nn.mugdit.sizes import DiTConfig
from mugv_jax.weights.convert import convert
from mugv_jax.weights.torch_files import TorchSource
from tests.weights import checkpoints

CONFIGS = Path(__file__).parents[2] / "configs"
PARAMETERS = {
    "mugv_dit": 10_830_321_984,
    "mugv_vae": 411_696_059,
    "t5_encoder": 4_762_310_656,
    "mugv_tiny_decoder": 1_772_012,
}
# The smallest DiT that reads the text states of the golden T5.
DIT = DiTConfig(depth=2, width=72, num_heads=1, text_dim=32)


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    """A folder with a DiT in bfloat16, a VAE in Orbax form and a T5 as Hugging Face keeps it."""
    tmp_path = tmp_path_factory.mktemp("pipeline")
    tensors = {k: v.bfloat16() for k, v in checkpoints.dit_tensors(DIT).items()}
    checkpoints.save(tmp_path / "dit.pt", tensors)
    vae = checkpoints.save(tmp_path / "published.pt", checkpoints.golden_tensors("vae_tiny"))
    convert(vae, tmp_path / "vae")
    (tmp_path / "t5").mkdir()
    text = checkpoints.golden_tensors("t5_tiny")
    text["decoder.final_layer_norm.weight"] = torch.ones(32)
    safetensors.torch.save_file(text, tmp_path / "t5" / "model.safetensors")
    return tmp_path


def test_every_model_of_a_pipeline_is_described(pipeline, info, monkeypatch):
    monkeypatch.delattr(TorchSource, "read")  # headers only
    report = info(pipeline, "--json", "--size", "128x64", "--frames", "17")
    models = {model["kind"]: model for model in report["models"]}
    assert {kind: model["format"] for kind, model in models.items()} == {
        "mugv_dit": "torch",
        "mugv_vae": "orbax",
        "t5_encoder": "safetensors",
    }
    dit = models["mugv_dit"]
    published = checkpoints.dit_tensors(DIT).values()
    count = sum(tensor.numel() for tensor in published)
    assert dit["parameters"] == count
    assert dit["stored"] == {"bfloat16": {"tensors": len(published), "nbytes": 2 * count}}
    assert 2 * count < dit["file_bytes"] == (pipeline / "dit.pt").stat().st_size
    assert (dit["sizes"]["width"], dit["unused"]) == (72, 0)
    assert models["t5_encoder"]["unused"] == 32
    assert models["mugv_vae"]["unused"] > 0
    assert [stage["name"] for stage in report["stages"]] == [
        "text encoder",
        "VAE encode",
        "DiT step",
        "VAE decode",
    ]
    assert report["video"]["latent_shape"] == [3, 8, 16]
    assert report["video"]["tokens"] == 3 * 4 * 8 + 2


def test_what_is_absent_is_said(pipeline, tmp_path, info):
    for name in ("dit.pt", "vae"):
        (tmp_path / name).symlink_to(pipeline / name)
    printed = info(tmp_path)
    assert "text encoder: not found, so not counted" in printed
    assert "VAE decode" in printed


def test_a_single_checkpoint_and_a_folder_of_one_are_no_pipeline(pipeline, info):
    for path in (pipeline / "dit.pt", pipeline / "vae", pipeline / "t5"):
        report = info(path, "--json")
        assert len(report["models"]) == 1
        assert report["peak"]["bytes_per_device"] == max(s["total"] for s in report["stages"])


def test_full_size(info):
    report = info(CONFIGS / "mugv_10b.py", "--json")
    assert {model["kind"]: model["parameters"] for model in report["models"]} == PARAMETERS
    assert report["video"]["tokens"] == 50_402
    assert report["video"]["flops_per_sample"] == pytest.approx(146e15, rel=5e-3)
    weights = {stage["name"]: stage["weights"] for stage in report["stages"]}
    assert weights["DiT step"] == 2 * PARAMETERS["mugv_dit"]
    assert weights["text encoder"] == 2 * PARAMETERS["t5_encoder"]
    assert weights["VAE decode"] == 2 * PARAMETERS["mugv_vae"] + 4 * 48  # shift and scale
    printed = info(CONFIGS / "mugv_10b.py")
    needed = report["peak"]["bytes_per_device"] / 2**30
    assert printed.endswith(f"needs {needed:.1f} GiB per device (DiT step)\n")


def test_more_devices_need_less_each(info):
    ten_b = CONFIGS / "mugv_10b.py"
    needed = [
        info(ten_b, "--json", "--devices", count)["peak"]["bytes_per_device"] for count in (1, 2, 8)
    ]
    assert needed[0] > 1.5 * needed[1]
    assert needed[1] > 1.5 * needed[2]
    report = info(ten_b, "--json", "--mesh", "fsdp=2,sequence=2,tensor=2")
    assert report["mesh"] == {"fsdp": 2, "sequence": 2, "tensor": 2}
    (dit,) = (stage for stage in report["stages"] if stage["name"] == "DiT step")
    # All but norms, biases and vectors divide by eight.
    assert dit["weights"] == pytest.approx(2 * PARAMETERS["mugv_dit"] / 8, rel=0.02)


def test_eight_bit_weights_fit_a_card_of_24_gb(info):
    landscape = ("--size", "1280x720")
    sixteen, eight = (
        info(CONFIGS / "mugv_10b.py", "--json", *landscape, *more)
        for more in ([], ["--quantize", "int8"])
    )
    assert sixteen["peak"]["bytes_per_device"] > 24e9
    assert eight["peak"]["bytes_per_device"] < 17e9
    assert "int8 weights" in info(CONFIGS / "mugv_10b.py", "--quantize", "int8")
    of_stage = {stage["name"]: stage for stage in eight["stages"]}
    # A byte per weight, and 4 per group; embeddings and the last layer keep their 16 bits.
    assert of_stage["DiT step"]["weights"] == pytest.approx(PARAMETERS["mugv_dit"], rel=0.06)
    assert of_stage["VAE decode"] == {s["name"]: s for s in sixteen["stages"]}["VAE decode"]
    assert of_stage["VAE decode"]["total"] < 10e9


def test_tiles_and_types_count(info):
    whole, tiled, wide = (
        {stage["name"]: stage for stage in info(CONFIGS / "mugv_10b.py", "--json", *more)["stages"]}
        for more in ([], ["--vae-tile", "256"], ["--dtype", "float32"])
    )
    assert tiled["VAE decode"]["activations"] < 0.8 * whole["VAE decode"]["activations"]
    assert tiled["DiT step"] == whole["DiT step"]
    assert wide["DiT step"]["weights"] == 2 * whole["DiT step"]["weights"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--size", "100x100"], "width=100 must be a positive multiple of 8"),
        (["--frames", "20"], "frames=20 must be 8k+1"),
        (["--mesh", "model=2"], "'model' is unknown"),
        (["--devices", "0"], "devices=0 must be at least 1"),
        (["--steps", "0"], "steps=0 must be at least 1"),
        (["--vae-tile", "8"], "vae tile=8 must be a multiple of 8 pixels from 64 up"),
    ],
)
def test_bad_numbers_are_one_line(options, message, capsys):
    assert cli.main(["info", str(CONFIGS / "mugv_10b.py"), *options]) == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.strip().count("\n") == 0


def test_bad_weights_are_one_line(tmp_path, pipeline, capsys):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.txt").write_text("no weights")
    broken = checkpoints.dit_tensors(DIT)
    del broken["blocks.1.mlp.fc1.bias"]
    checkpoints.save(tmp_path / "broken.pt", broken)
    other = tmp_path / "other"
    other.mkdir()
    checkpoints.save(other / "dit.pt", checkpoints.golden_tensors("mugdit_tiny"))
    for name in ("vae", "t5"):
        (other / name).symlink_to(pipeline / name)
    for path, message in (
        (tmp_path / "empty", "no checkpoint in this folder"),
        (tmp_path / "text.txt", "must be a folder, or a file that ends in"),
        (tmp_path / "absent" / "dit.pt", "does not exist"),
        ("nobody/nothing", "no repository of that name has been downloaded"),
        (tmp_path / "broken.pt", "1 missing: blocks.1.mlp.fc1.bias"),
        (other, "not of one system"),
    ):
        assert cli.main(["info", str(path)]) == 2
        printed = capsys.readouterr().err
        assert message in printed, printed
        assert printed.strip().count("\n") == 0
