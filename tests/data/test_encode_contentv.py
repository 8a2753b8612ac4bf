# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Samples of ContentV: latents of 4k+1 frames, features of three text encoders, short captions."""

import csv
import dataclasses
import shutil

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from mugv_jax import cli, video
from mugv_jax.data.captions import read_captions
from mugv_jax.data.clips import ClipRule, read_clip
from mugv_jax.data.encode import EncodeConfig, encode, settings_of
from mugv_jax.data.fields import TextField, flow_fields
from mugv_jax.data.open import open_samples
from mugv_jax.data.pt_files import read_text
from mugv_jax.data.serve.shapes import sample_shape
from mugv_jax.nn.mmdit.model import MMDiT
from mugv_jax.systems import wan_windows
from mugv_jax.systems.contentv.denoiser import CAPTION_STATES, ContentvDenoiser
from mugv_jax.systems.contentv.models import ContentvModels
from tests.data.real_clips import real_clip
from tests.systems.contentv.folders import SMALL

CONFIG = EncodeConfig(clip=ClipRule(fps=10, size=(32, 16), max_frames=9, stride=4), text_batch=2)
ROWS = (
    ("path", "caption", "short_caption"),
    ("bikes.mp4", "bicycles pass on a street", "bicycles"),
    ("picture.png", "a gradient of blue", ""),
)
FIELDS = (*flow_fields(), TextField("text_short", optional=True))
SAME = 1e-4  # absolute, of values up to 3: programs of one caption and of two


@pytest.fixture(scope="module")
def models():
    return ContentvModels.random(SMALL, keep_loaded=True)


@pytest.fixture(scope="module")
def captions(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    shutil.copy(real_clip("bikes.mp4"), folder)
    Image.new("RGB", (40, 40), "blue").save(folder / "picture.png")
    with open(folder / "captions.csv", "w", newline="") as file:
        csv.writer(file).writerows(ROWS)
    return folder / "captions.csv"


@pytest.fixture(scope="module")
def samples(captions, models, tmp_path_factory):
    out = tmp_path_factory.mktemp("samples")
    done = encode(captions, out, models, CONFIG)
    assert (done.finished, done.rows, done.bad) == (2, 2, ())
    return out


def test_latents_are_those_of_the_wan_vae(captions, samples, models):
    found = open_samples(samples, FIELDS)
    np.testing.assert_array_equal(found.shapes, [(3, 2, 4), (1, 2, 4)])
    for sample, entry in zip((found[0], found[1]), read_captions(captions), strict=True):
        frames, _ = read_clip(entry.path, CONFIG.clip)
        assert sample_shape(entry, CONFIG.clip)[0] == sample["latent"].shape[:3]
        with models.model("vae") as vae:
            expected = wan_windows.encode(*vae, video.to_pixels(frames)[None])
        np.testing.assert_array_equal(sample["latent"], expected[0])


def test_states_are_those_that_the_transformer_reads(samples, models):
    found = open_samples(samples, FIELDS)
    denoiser = ContentvDenoiser(MMDiT(SMALL.dit))
    wanted = models.read_texts(["bicycles pass on a street", "bicycles", ""])
    texts = (found[0]["text"], found[0]["text_short"], read_text(samples / "empty_text.pt"))
    for (states, mask), condition in zip(texts, wanted, strict=True):
        assert mask.all()
        assert states.shape == (CAPTION_STATES, SMALL.dit.text_dim)
        read = denoiser.condition({"text": jnp.asarray(states)[None]})
        np.testing.assert_allclose(read.text[0], condition.text, atol=SAME)
        np.testing.assert_allclose(read.pooled[0], condition.pooled, atol=SAME)
    assert not found[1]["text_short"].mask.size  # it has none


def test_a_second_run_encodes_nothing_and_a_new_short_caption_alone(
    captions, samples, models, tmp_path, monkeypatch
):
    out = shutil.copytree(samples, tmp_path / "out")
    other = captions.with_name("other.csv")
    with open(other, "w", newline="") as file:
        csv.writer(file).writerows([*ROWS[:2], ("picture.png", ROWS[2][1], "blue")])
    monkeypatch.setattr(ContentvModels, "latent", None)
    encode(other, out, models, CONFIG)
    assert open_samples(out, FIELDS)[1]["text_short"].mask.all()
    monkeypatch.setattr(ContentvModels, "caption_states", None)
    encode(other, out, models, CONFIG)
    encode(captions, samples, models, CONFIG)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (dataclasses.replace(CONFIG, posterior_seed=1), "ContentV encodes to the mean"),
        (
            dataclasses.replace(CONFIG, clip=dataclasses.replace(CONFIG.clip, stride=8)),
            "stride=8 must be 4",
        ),
    ],
)
def test_settings_of_another_vae_are_refused(config, message, models):
    with pytest.raises(ValueError, match=message):
        settings_of(models, config)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--tokenizer", "here", "--weights", "w"], "--tokenizer is of --model mugv"),
        ([], "no weights: give --weights FOLDER"),
        (["--size", "square"], "size 'square' must be WIDTHxHEIGHT"),
    ],
)
def test_options_of_another_model_are_refused(captions, options, message, tmp_path, capsys):
    command = ["data", "encode", str(captions), "--model", "contentv", "-o", str(tmp_path / "s")]
    assert cli.main([*command, *options]) == 2
    assert message in capsys.readouterr().err
