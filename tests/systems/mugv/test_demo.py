# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The demo's weights in the package match their card and make what captions ask for."""

import dataclasses
import json
from pathlib import Path

import pytest

from configs import tiny_decoder_demo
from mugv_jax import cli
from mugv_jax import config as configs
from mugv_jax.demo import export as demo_export
from mugv_jax.nn.vae.tiny import TinyDecoderConfig
from mugv_jax.systems.mugv.models import MugvModels, demo_weights

ROOT = Path(__file__).parents[3]
CLIPS = 4  # of each task, on seen and on unseen combinations


@pytest.fixture(scope="module")
def scores(tmp_path_factory):
    out = tmp_path_factory.mktemp("scores")
    command = ["eval", "demo", "--tasks=vae,t2v,i2v", f"--clips={CLIPS}", f"--batch={CLIPS}"]
    assert cli.main([*command, "--steps=8", f"--out={out}"]) == 0
    return json.loads((out / "scores.json").read_text())["scores"]


def test_their_sizes_are_those_of_the_config_and_small():
    folder = demo_weights()
    config = configs.load(ROOT / "configs" / "mugv_demo.py")
    # Of a published file the factor is in the weights.
    vae = dataclasses.replace(config.vae, scaling_factor=0.18215)
    tiny = TinyDecoderConfig(**tiny_decoder_demo.get_config().tiny_decoder)
    expected = dataclasses.replace(config, vae=vae, tiny_decoder=tiny)
    assert MugvModels.from_pretrained(folder).config == expected
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    assert sum(sizes) <= demo_export.MAX_BYTES


@pytest.mark.parametrize("split", ["validation", "unseen"])
def test_clips_come_back_from_their_latents(scores, split):
    assert scores["vae"][split]["psnr"]["value"] > 29
    assert scores["vae"][split]["ssim"]["value"] > 0.88


@pytest.mark.parametrize("task", ["t2v", "i2v"])
def test_clips_show_what_was_asked_for(scores, task):
    """Bounds far above chance (one in 4 shapes, 6 colours, 7 motions)."""
    for measure, least in (("colour", 7), ("shape", 6), ("motion", 6)):
        right = sum(scores[task][split][measure]["value"] for split in ("validation", "unseen"))
        assert CLIPS * right >= least, measure
