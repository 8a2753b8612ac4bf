# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import jax
import numpy as np
import pytest

from mugv_jax.systems.convert import convert
from mugv_jax.systems.wan.models import WanModels, find_wan
from mugv_jax.systems.wan.pipeline import WanPipeline
from mugv_jax.systems.wan.request import WanRequest
from tests.nn.test_vae import PARITY, relative_error
from tests.systems.wan.folders import (
    ORIGINAL,
    SMALL,
    published_videos,
    tensors_of,
    write_folder,
    write_original,
)

ROUNDED = 0.51 / 255  # of [0, 1]: a frame is rounded to 256 levels once

SIZE = {"size": (48, 32), "frames": 9}
SHAPE = (3, 4, 6, 16)
PROMPT, NEGATIVE = "A red  paper boat, &amp; wow!", "ugly"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("wan"))


@pytest.fixture(scope="module")
def original(folder, tmp_path_factory):
    return write_original(folder, tmp_path_factory.mktemp("original") / "wan")


@pytest.fixture(scope="module")
def pipeline(folder) -> WanPipeline:
    return WanPipeline.from_pretrained(folder, keep_loaded=True)


def request(*prompts: str, **fields):
    return WanRequest.of(prompts or (PROMPT,), **{"steps": 2} | SIZE | fields)


def latents(pipeline: WanPipeline, *prompts: str, **fields) -> np.ndarray:
    made = pipeline.sample(request(*prompts, **fields), progress=False)
    return np.stack([each.latent for each in made])


def test_a_video_is_that_of_diffusers_pipeline(folder, pipeline):
    asked = request(steps=3, guidance=3.0, negative_prompt=NEGATIVE, seed=3)
    noise = np.array(jax.random.normal(jax.random.key(3), SHAPE))
    latent, frames = published_videos(folder, PROMPT, NEGATIVE, noise, steps=3, guidance=3.0)
    (made,) = pipeline.sample(asked, progress=False)
    assert relative_error(made.latent, latent) < PARITY
    (video,) = pipeline.run(asked, progress=False)
    assert (video.fps, video.frames.shape) == (16, (9, 32, 48, 3))
    assert np.max(np.abs(video.frames / 255 - frames)) < ROUNDED


def test_the_authors_layout_and_converted_weights_make_the_same_latent(
    folder, original, pipeline, tmp_path
):
    convert(folder, tmp_path / "orbax")
    expected = latents(pipeline)
    for other in (original, tmp_path / "orbax"):
        found = WanPipeline.from_pretrained(other)
        assert found.models.config == pipeline.models.config == SMALL
        np.testing.assert_array_equal(latents(found), expected)


def test_what_save_pretrained_writes_is_what_diffusers_wrote(folder, pipeline, tmp_path):
    pipeline.save_pretrained(tmp_path / "saved")
    assert WanModels.from_pretrained(tmp_path / "saved").config == SMALL
    for name in ("transformer", "vae", "text_encoder"):
        expected, found = (tensors_of(at / name) for at in (folder, tmp_path / "saved"))
        assert set(found) == set(expected)
        for tensor, array in expected.items():
            np.testing.assert_array_equal(found[tensor], array)


def test_the_published_negative_prompt_is_heard_unless_another_is_given(pipeline):
    base = latents(pipeline)
    for other in ({"negative_prompt": ""}, {"shift": 3.0}, {"seed": 0}):
        assert not np.array_equal(base, latents(pipeline, **other)), other


@pytest.mark.parametrize("field", ORIGINAL)
def test_a_missing_model_is_named(original, tmp_path, field):
    for path in original.iterdir():
        if path.name != ORIGINAL[field][0]:
            (tmp_path / path.name).symlink_to(path)
    with pytest.raises(ValueError, match=f"looked for {ORIGINAL[field][1]}, {ORIGINAL[field][0]}"):
        find_wan(tmp_path)
    if field == "dit":
        assert find_wan(tmp_path, dit=tmp_path / "x")["dit"] == tmp_path / "x"
