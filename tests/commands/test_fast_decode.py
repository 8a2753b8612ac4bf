# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Tiny decoders: `generate --fast-decode` without one, in sizes and records, and `info` of one."""

import dataclasses
import json

import pytest

from mugv_jax import cli
from mugv_jax import config as configs
from mugv_jax.commands import like
from mugv_jax.nn.vae.tiny import TinyDecoderConfig
from mugv_jax.systems.mugv.models import MugvModels
from mugv_jax.weights.convert import convert
from tests.systems.mugv.folders import write_config, write_run


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    run = write_run(folder / "run", "mugv_tiny_decoder", TinyDecoderConfig(width=8, layers=1))
    convert(run, folder / "tiny_decoder.safetensors", ema=True)
    return folder / "tiny_decoder.safetensors"


def test_a_fast_decode_without_a_tiny_decoder_is_one_line(tmp_path, capsys):
    config = write_config(tmp_path / "config.py")
    options = ["--random-weights", "--config", str(config), "--size", "48x32", "--frames", "9"]
    assert cli.main(["generate", *options, "--fast-decode", "-o", str(tmp_path), "a boat"]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert "needs a tiny decoder beside the weights" in error
    assert "tiny_decoder.safetensors" in error


def test_info_names_a_tiny_decoder_and_its_memory(file, capsys):
    assert cli.main(["info", str(file), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    (model,) = report["models"]
    assert model["kind"] == "mugv_tiny_decoder"
    assert [stage["name"] for stage in report["stages"]] == ["fast decode"]


def test_sizes_may_have_a_tiny_decoder_and_ask_for_none():
    planned = configs.load("mugv_debug")
    MugvModels.random(planned).require_tiny_decoder()
    demo = configs.load("mugv_demo")
    for expected in (demo, dataclasses.replace(demo, tiny_decoder=None)):
        MugvModels.from_pretrained(None, expected=expected)
    tiny = dataclasses.replace(demo.tiny_decoder, width=8)
    other = dataclasses.replace(demo, tiny_decoder=tiny)
    with pytest.raises(ValueError, match=r"tiny_decoder.safetensors has other sizes"):
        MugvModels.from_pretrained(None, expected=other)


def test_a_record_asks_for_a_fast_decode_where_it_was_one():
    assert [*like._written("fast_decode", True)] == ["--fast-decode"]
    assert not [*like._written("fast_decode", False)]
