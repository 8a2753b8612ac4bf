# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import jax
import numpy as np
import pytest

from mugv_jax.flow.guidance import Guidance
from mugv_jax.systems import wan_windows
from mugv_jax.systems.contentv.pipeline import ContentvPipeline, stacked
from mugv_jax.systems.contentv.request import ContentvRequest
from mugv_jax.systems.convert import convert
from mugv_jax.systems.frames import FALLBACK_TILING
from tests.nn.test_vae import PARITY, relative_error
from tests.systems.contentv.folders import (
    CORPUS,
    SMALL,
    published_sample,
    published_texts,
    write_published,
)

SHARDED = 1e-5  # relative L2: the order of float32 sums differs
EIGHT_BITS = 3e-2  # relative L2: 1% of every weight, through two steps
ROUNDED = 0.51  # levels of 256: a frame is rounded to them once

SIZE = {"size": (48, 32), "frames": 9}
SHAPE = (3, 4, 6, 16)
PROMPT, NEGATIVE = "A red paper boat, wow!", "ugly"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_published(tmp_path_factory.mktemp("contentv"))


@pytest.fixture(scope="module")
def pipeline(folder) -> ContentvPipeline:
    return ContentvPipeline.from_pretrained(folder, keep_loaded=True)


def request(*prompts: str, **fields):
    return ContentvRequest.of(prompts or (PROMPT,), **{"steps": 2} | SIZE | fields)


def latents(pipeline: ContentvPipeline, *prompts: str, **fields) -> np.ndarray:
    made = pipeline.sample(request(*prompts, **fields), progress=False)
    return np.stack([each.latent for each in made])


def test_texts_are_read_as_transformers_does(folder, pipeline):
    """Texts may be empty, or longer than the encoders read."""
    prompts = [PROMPT, "", "the cat " * 80]
    states, pooled = published_texts(folder, prompts)
    ours = stacked(pipeline.models.read_texts(prompts))
    assert ours.text.shape == (3, 77 + 256, 48)
    assert relative_error(ours.text, states.numpy()) < PARITY
    assert relative_error(ours.pooled, pooled.numpy()) < PARITY


def test_a_video_is_that_of_the_published_models_and_scheduler(folder, pipeline):
    asked = request(steps=4, negative_prompt=NEGATIVE, seed=3)
    noise = np.array(jax.random.normal(jax.random.key(3), SHAPE))
    latent, frames = published_sample(folder, PROMPT, NEGATIVE, noise, steps=4, guidance=6.0)
    (made,) = pipeline.sample(asked, progress=False)
    assert relative_error(made.latent, latent) < PARITY
    (video,) = pipeline.run(asked, progress=False)
    assert (video.fps, video.frames.shape, video.frames.dtype) == (24, (9, 32, 48, 3), np.uint8)
    assert np.max(np.abs(video.frames - frames)) < ROUNDED


def test_converted_weights_make_the_same_latent(folder, pipeline, tmp_path):
    convert(folder, tmp_path / "orbax")
    converted = ContentvPipeline.from_pretrained(tmp_path / "orbax")
    assert converted.models.config == pipeline.models.config == SMALL
    np.testing.assert_array_equal(latents(converted), latents(pipeline))


def test_each_prompt_of_several_is_the_run_of_it_alone(pipeline):
    several = latents(pipeline, *CORPUS[:2], seed=0)
    assert several.shape == (2, *SHAPE)
    np.testing.assert_array_equal(several[0], latents(pipeline, CORPUS[0], seed=0)[0])
    np.testing.assert_array_equal(several[1], latents(pipeline, CORPUS[1], seed=1)[0])
    np.testing.assert_array_equal(several, latents(pipeline, *CORPUS[:2], seed=[0, 1]))


def test_texts_are_encoded_once(folder):
    pipeline = ContentvPipeline.from_pretrained(folder)
    first = latents(pipeline, *CORPUS[:2])
    loaded, fetch = [], pipeline.models.fetch
    pipeline.models.fetch = lambda name, *rest: loaded.append(name) or fetch(name, *rest)
    np.testing.assert_array_equal(latents(pipeline, CORPUS[1], seed=43)[0], first[1])
    assert loaded == ["dit"]


def test_prompt_negative_prompt_shift_and_seed_matter(pipeline):
    base = latents(pipeline)
    np.testing.assert_array_equal(base, latents(pipeline, guidance=Guidance(scale=6.0)))
    for other in ({"negative_prompt": NEGATIVE}, {"shift": 1.0}, {"seed": 0}):
        assert not np.array_equal(base, latents(pipeline, **other)), other
    assert not np.array_equal(base, latents(pipeline, CORPUS[1]))


def test_without_guidance_the_negative_prompt_is_not_heard(pipeline):
    off, on = (pipeline.sample(request(guidance=scale), progress=False)[0] for scale in (1.0, 6.0))
    assert (off.evaluations, off.possible) == (2, 2)
    assert (on.evaluations, on.possible) == (4, 4)
    np.testing.assert_array_equal(
        off.latent, latents(pipeline, guidance=1.0, negative_prompt=NEGATIVE)[0]
    )


def test_eight_devices_give_the_latents_of_one(folder, pipeline):
    mesh = {"data": 2, "tensor": 2, "sequence": 2}
    sharded = ContentvPipeline.from_pretrained(folder, mesh=mesh)
    expected, made = (latents(each, *CORPUS, seed=0) for each in (pipeline, sharded))
    assert relative_error(made, expected) <= SHARDED


def test_eight_bit_weights_make_nearly_the_same_latent(folder, pipeline):
    eight = ContentvPipeline.from_pretrained(folder, quantize="int8")
    assert 1e-5 < relative_error(latents(eight), latents(pipeline)) < EIGHT_BITS


def test_models_are_loaded_in_turn_and_freed():
    pipeline = ContentvPipeline.random(SMALL)
    loaded, fetch = [], pipeline.models.fetch

    def recorded(name, *arguments):
        assert all(leaf.is_deleted() for _, tree in loaded for leaf in jax.tree.leaves(tree))
        loaded.append((name, fetch(name, *arguments)))
        return loaded[-1][1]

    pipeline.models.fetch = recorded
    videos = pipeline.run(request(*CORPUS[:2]), progress=False)
    assert not loaded
    next(videos)
    assert [name for name, _ in loaded] == ["clip_l", "clip_g", "text", "dit", "vae"]
    videos.close()
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(loaded[-1][1]))


def test_generate_returns_one_video_for_a_prompt_and_a_list_for_a_list(pipeline, shown, caplog):
    one = pipeline.generate(PROMPT, steps=2, fps=12, **SIZE)
    assert {"denoising video 1 of 1", "decoding video 1 of 1"} <= set(shown())
    caplog.clear()
    (same,) = pipeline.generate([PROMPT], steps=2, progress=False, **SIZE)
    assert not [task for task in shown() if "video" in task]
    assert (one.fps, same.fps) == (12, 24)
    np.testing.assert_array_equal(one.frames, same.frames)


def test_frames_too_large_to_decode_whole_are_decoded_in_tiles(pipeline, monkeypatch, caplog):
    expected = pipeline.generate(PROMPT, steps=2, progress=False, **SIZE)
    decode_in_steps, asked = wan_windows.decode_in_steps, []

    def small_device(*arrays, tiling):
        asked.append(tiling)
        if tiling is None:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 1 byte")
        return decode_in_steps(*arrays, tiling=tiling)

    monkeypatch.setattr(wan_windows, "decode_in_steps", small_device)
    again = ContentvPipeline(pipeline.models)
    made = again.generate(PROMPT, steps=2, progress=False, **SIZE)
    assert asked == [None, FALLBACK_TILING]
    assert again.tiling == FALLBACK_TILING
    np.testing.assert_array_equal(made.frames, expected.frames)  # one tile is the frame
    assert "tiles" in caplog.text


def test_a_call_makes_the_frames_of_generate(pipeline):
    size = {"height": 32, "width": 48, "num_frames": 9}
    made = pipeline(PROMPT, NEGATIVE, **size, num_inference_steps=2, guidance_scale=3.0, seed=5)
    (own,) = pipeline.generate(
        [PROMPT], size="48x32", frames=9, steps=2, guidance=3.0, seed=5, negative_prompt=NEGATIVE,
        progress=False,
    )  # fmt: skip
    np.testing.assert_array_equal(np.rint(made.frames[0] * 255), own.frames)
    assert made.videos[0].record == own.record
    assert own.record["system"] == "contentv"
    assert set(own.record["weights"]["digests"]) == set(pipeline.models.sources)
    with pytest.raises(ValueError, match="generate has no option 'image'"):
        pipeline.generate(PROMPT, image="x.png")
