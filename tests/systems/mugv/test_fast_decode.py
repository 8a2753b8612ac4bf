# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Decoding with a tiny decoder: whole videos, previews, records, and pictures of training."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from mugv_jax.nn.vae.tiny import TinyDecoderConfig
from mugv_jax.systems.mugv.clips import decode_frames
from mugv_jax.systems.mugv.models import MugvModels
from mugv_jax.systems.mugv.pipeline import MugvPipeline
from mugv_jax.systems.mugv.request import Request, read_given
from mugv_jax.systems.mugv.size import VideoSize
from mugv_jax.systems.record import different_weights
from mugv_jax.systems.sampling import Denoised
from mugv_jax.systems.tiles import Tiling
from mugv_jax.train.evaluation import as_frames, picture_decoder
from mugv_jax.weights.convert import convert
from tests.systems.mugv.folders import SMALL, write_published, write_run

TINY = TinyDecoderConfig(
    width=8, layers=1, feature_channels=4, frame_widths=(4,), frame_layers=1, patch_px=4
)
LATENT = np.random.default_rng(0).standard_normal((3, 4, 6, 24)).astype(np.float32)
SIZE = VideoSize(width_px=48, height_px=32, frames=17)


@pytest.fixture(scope="module")
def pipeline():
    sizes = dataclasses.replace(SMALL, tiny_decoder=TINY)
    return MugvPipeline.random(sizes, keep_loaded=True, tiling=Tiling(rows=2, columns=2))


@pytest.fixture
def sampled(monkeypatch):
    """Sampling that gives LATENT at once."""
    made = Denoised(LATENT, 2, 2)
    monkeypatch.setattr(MugvPipeline, "sample", lambda *_args, **_options: [made])


def run(pipeline, **fields):
    request = Request(prompts=("a boat",), size=SIZE, **fields)
    (made,) = pipeline.run(request, read_given(request), progress=False)
    return made


def by_tiny(pipeline, latent):
    with pipeline.models.model("tiny_decoder") as (module, variables):
        parts = decode_frames(module, variables, jnp.asarray(latent), starts_with_image=True)
        return np.concatenate([*parts], axis=1)


@pytest.mark.usefixtures("sampled")
def test_a_fast_decode_is_that_of_the_tiny_decoder(pipeline, monkeypatch):
    loaded = []
    fetch = pipeline.models.fetch
    monkeypatch.setattr(
        pipeline.models, "fetch", lambda name, *rest: loaded.append(name) or fetch(name, *rest)
    )
    made = run(pipeline, fast_decode=True)
    assert loaded == ["tiny_decoder"]
    assert made.frames.shape == (17, 32, 48, 3)
    np.testing.assert_array_equal(made.frames, by_tiny(pipeline, LATENT[None])[0])
    assert made.record["settings"]["fast_decode"] is True


def test_previews_are_made_by_the_tiny_decoder(pipeline):
    (picture,) = pipeline._decoded(LATENT[None, :1])
    np.testing.assert_array_equal(picture, by_tiny(pipeline, LATENT[None, :1])[0, 0])


def test_without_a_tiny_decoder_a_fast_decode_is_refused_before_sampling():
    pipeline = MugvPipeline.random(SMALL)
    with pytest.raises(ValueError, match=r"beside the weights \(looked for tiny_decoder, .*train"):
        run(pipeline, fast_decode=True)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"latent_channels": 8}, "tiny decoder has latent_channels=8, the VAE 24"),
        ({"patch_px": 2}, "tiny decoder has spatial_factor=4, the VAE 8"),
    ],
)
def test_a_tiny_decoder_of_another_vae_is_refused(sizes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(SMALL, tiny_decoder=dataclasses.replace(TINY, **sizes))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """SMALL as published, with a tiny decoder beside it."""
    folder = tmp_path_factory.mktemp("weights")
    run = write_run(tmp_path_factory.mktemp("runs") / "tiny", "mugv_tiny_decoder", TINY)
    convert(run, write_published(folder) / "tiny_decoder.safetensors", ema=True)
    return folder


def test_only_videos_of_a_tiny_decoder_depend_on_its_weights(folder):
    models = MugvModels.from_pretrained(folder)
    assert models.config.tiny_decoder == TINY
    request = Request(prompts=("a boat",), size=SIZE)
    (full,) = request.records(models, None)
    (fast,) = dataclasses.replace(request, fast_decode=True).records(models, None)
    assert "tiny_decoder" not in full["weights"]["digests"]
    assert "fast_decode" not in full["settings"]
    assert "tiny_decoder" in fast["weights"]["digests"]
    assert different_weights(full, models) == different_weights(fast, models) == []
    fast["weights"]["digests"]["tiny_decoder"] = "another"
    assert different_weights(fast, models) == ["tiny_decoder"]


@pytest.mark.parametrize("beside", [True, False])
def test_pictures_of_training_are_decoded_by_what_lies_beside_the_vae(folder, beside, tmp_path):
    path = folder / "vae.pt"
    if not beside:
        (tmp_path / "vae.pt").symlink_to(path)
        path = tmp_path / "vae.pt"
    module, variables = picture_decoder(str(path), jnp.float32)
    assert as_frames(LATENT, (module, variables)).shape == (3, 32, 48, 3)
    assert module.config == (TINY if beside else SMALL.vae)
