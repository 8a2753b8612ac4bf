# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""`mugv-jax compile`; the TPU compiler itself runs only if libtpu is installed."""

import json
from pathlib import Path

import pytest

from mugv_jax import cli
from mugv_jax.commands.compile import lines

ROOT = Path(__file__).parents[2]
DEBUG, CONTENTV, ENHANCER = (
    str(ROOT / "configs" / f"{name}.py") for name in ("mugv_debug", "contentv_8b", "enhancer")
)

REPORT = {
    "step": "train",
    "topology": "v5p:4x4x4",
    "chips": 64,
    "mesh": {"fsdp": 16, "sequence": 4},
    "options": {"remat": "dots", "microbatches": 1},
    "video": {"width_px": 1280, "height_px": 720, "frames": 105, "tokens": 50402},
    "samples": 16,
    "memory": {
        "arguments": 2**31,
        "temporaries": 2**36,
        "outputs": 0,
        "code": 0,
        "total": 2**36 + 2**31,
        "chip": 95 * 2**30,
        "fits": True,
    },
    "flops": {"model": 14 * 10**16, "hardware": 14 * 10**16},
    "sent_per_chip": {"all-gather": 17 * 10**9},
    "estimate": {
        "arithmetic_s": 4.0,
        "attention_s": 11.0,
        "attention_least_s": 10.0,
        "modulation_s": 0.5,
        "exposed_s": {"all-gather": 0.5},
        "hidden_s": 0.25,
        "step_s": 16.0,
        "step_least_s": 15.0,
        "mfu": 0.31,
        "mfu_most": 0.33,
        "limit": "attention kernels",
    },
    "assumptions": {"attention": 0.6},
    "uncounted_kernels": [],
    "unknown_loops": [],
}


def fail(capsys, *arguments):
    assert cli.main(["compile", *arguments]) == cli.USER_ERROR
    error = capsys.readouterr().err.strip()
    assert "\n" not in error
    return error


def test_gpus_get_no_estimate_of_their_time():
    known = {name: value for name, value in REPORT.items() if name != "estimate"}
    text = "\n".join(lines(known))
    assert "together 66.00" in text
    assert "all-gather 17.00 GB" in text
    assert "none for GPUs: measure with" in text


def test_the_report_says_whether_it_fits_and_what_limits_it():
    text = "\n".join(lines(REPORT))
    assert "64 chips, fsdp=16, sequence=4" in text
    assert "together 66.00" in text
    assert "fits: a chip has 95.00 GiB" in text
    assert "all-gather 17.00 GB" in text
    assert "15.000 to 16.000 s: attention 10.000 to 11.000, modulation 0.500" in text
    assert "other arithmetic 4.000" in text
    assert "exchanges 0.500 (and 0.250 hidden)" in text
    assert "31.0 to 33.0% of bfloat16 peak" in text
    assert "not counted" not in text
    too_much = REPORT | {"memory": REPORT["memory"] | {"fits": False}}
    assert "DOES NOT FIT" in "\n".join(lines(too_much))
    unknown = REPORT | {"uncounted_kernels": ["mystery"], "unknown_loops": ["while.3"]}
    text = "\n".join(lines(unknown))
    assert "mystery" in text
    assert "while.3" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--topology", "v9:2x2"], "chip 'v9' is not in the table"),
        (["--topology", "v5p:2x2x1", "--config.mesh.tensr=2"], "there is no 'tensr'"),
        (["--topology", "v5p:2x2x1", "--assume", "luck=1"], "NAME=SHARE of compiled, attention"),
        (["--topology", "v5p:2x2x1", "--assume", "links=fast"], "'fast' is no number"),
        (["--topology", "v5p:2x2x1", "--assume", "links=2"], "must be a share"),
        (["--topology", "v5p:2x2x1", "--batch", "0"], "batch=0 must be at least 1"),
        (["--topology", "v5p:2x2x1", "--frames", "100"], "frames=100 must be 8k"),
        (["--topology", "v5p:2x2x1", "--search", "1", "--sampler"], "leave out --sampler"),
    ],
)
def test_mistakes_are_one_line(capsys, arguments, message):
    assert message in fail(capsys, "--config", DEBUG, *arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([ENHANCER], "the config of the system enhancer has no training groups"),
        ([ENHANCER, "--search", "1"], "with --sampler"),
        ([ENHANCER, "--sampler", "--config.mesh.pipeline=2"], "there is no 'pipeline'"),
        ([CONTENTV, "--sampler", "--search", "1"], "leave out --sampler"),
        ([CONTENTV, "--sampler", "--frames", "120"], "frames=120 must be 4k+1"),
        ([CONTENTV, "--sampler", "--size", "16:10"], "or one of landscape (768x432)"),
    ],
)
def test_mistakes_about_other_systems_are_one_line(capsys, arguments, message):
    assert message in fail(capsys, "--topology", "v5p:2x2x1", "--config", *arguments)


@pytest.mark.parametrize(
    ("config", "sizes"),
    [
        (CONTENTV, ["depth=3", "num_heads=4", "head_dim=32"]),
        (ENHANCER, ["depth=2", "width=256", "mlp_dim=256", "num_heads=2", "text_tokens=32"]),
    ],
    ids=["contentv", "enhancer"],
)
def test_a_sampler_step_for_a_slice_that_is_not_there(capsys, config, sizes):
    pytest.importorskip("libtpu")
    arguments = ["--config", config, "--topology", "v5e:2x2", "--size", "64x64", "--frames", "9"]
    arguments += ["--sampler", "--config.mesh.sequence=2", "--json"]
    assert cli.main(["compile", *arguments, *(f"--config.dit.{size}" for size in sizes)]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["step"] == "sampler"
    assert report["mesh"] == {"data": 2, "sequence": 2}
    assert report["video"]["tokens"] == 3 * 4 * 4
    assert report["unknown_loops"] == report["uncounted_kernels"] == []
    assert report["kernels"]["norm_modulate"] > 0
    assert report["sent_per_chip"]["all-to-all"] > 0


def test_a_step_for_a_slice_that_is_not_there(capsys):
    pytest.importorskip("libtpu")
    arguments = ["--config", DEBUG, "--topology", "v5e:2x2", "--size", "64x64", "--frames", "9"]
    assert cli.main(["compile", *arguments, "--config.mesh.sequence=2", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["chips"] == 4
    assert report["mesh"] == {"data": 2, "sequence": 2}
    assert report["memory"]["fits"]
    assert report["unknown_loops"] == report["uncounted_kernels"] == []
    assert report["sent_per_chip"]["all-to-all"] > 0
    assert 0 < report["estimate"]["mfu"] < 1
