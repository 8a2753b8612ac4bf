# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mugv_jax import video
from mugv_jax.flow.guidance import Guidance
from mugv_jax.nn.wan import streaming
from mugv_jax.systems.enhancer.pipeline import EnhancerPipeline
from mugv_jax.systems.enhancer.request import EnhanceRequest
from tests.systems.enhancer.folders import SMALL, write_published

SIZES = {"window": 5, "overlap": 2}
ALPHA = 1.5  # not known from a file of another rank than the published
SHARDED_LEVELS = 1  # of 255: sums in another order, then rounded


def clip(frames, height, width, seed=0):
    """Clip of a smooth moving picture."""
    f, h, w, c = np.indices((frames, height, width, 3))
    return np.uint8(127 + 100 * np.sin(0.2 * h + 0.3 * w + 0.7 * f + c + seed))


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    return write_published(tmp_path_factory.mktemp("enhancer"))


@pytest.fixture(scope="module")
def pipeline(published):
    return EnhancerPipeline.from_pretrained(published, lora_alpha=ALPHA, keep_loaded=True)


def enhance(pipeline, frames, **options):
    return pipeline.enhance(frames, progress=False, **SIZES | options)


@functools.partial(jax.jit, static_argnums=(0, 1))
def call(function, module, *arguments):
    return function(module, *arguments)


def by_hand(pipeline, frames, *, sigma, scale, seed):
    """Result of one step on one window of whole latents, as in the published code."""
    models = pipeline.models
    prompts = [EnhanceRequest().prompt, EnhanceRequest().negative_prompt]
    ids, mask = map(jnp.asarray, models.tokenize(prompts))
    with models.model("text") as (text, variables):
        states = call(type(text).apply, text, variables, ids, mask)
        states = states * mask[..., None].astype(jnp.float32)
    with models.model("vae") as (vae, variables):
        y = call(streaming.encode, vae, variables, jnp.asarray(video.to_pixels(frames)[None]))
    noise = jax.random.normal(jax.random.key(seed), y.shape[1:])[None]
    z = (1 - sigma) * y + sigma * noise
    z = z.at[:, :1].set(y[:, :1])
    with models.model("dit") as (dit, variables):
        t = jnp.full(1, 1000 * sigma)
        positive, negative = (
            call(type(dit).apply, dit, variables, z, t, s[None], y) for s in states
        )
    z = z - sigma * (negative + scale * (positive - negative))
    z = z.at[:, :1].set(y[:, :1])
    with models.model("vae") as (vae, variables):
        return video.to_frames(np.asarray(call(streaming.decode, vae, variables, z)[0]))


def test_one_window_is_the_published_procedure(pipeline):
    frames = clip(5, 8, 12)
    made = enhance(pipeline, frames, seed=3)
    expected = by_hand(pipeline, frames, sigma=0.3, scale=2.0, seed=3)
    assert np.max(np.abs(made.astype(int) - expected)) <= 1  # one program or several
    assert np.max(np.abs(made.astype(int) - frames)) > 10


@pytest.mark.parametrize(("frames", "height", "width"), [(1, 8, 8), (4, 9, 13), (13, 8, 8)])
def test_any_length_and_size_comes_back_as_it_went_in(pipeline, frames, height, width):
    made = enhance(pipeline, clip(frames, height, width))
    assert (made.shape, made.dtype) == ((frames, height, width, 3), np.uint8)


def test_padding_is_of_the_last_row_column_and_frame(pipeline):
    frames = clip(4, 7, 11)
    padded = np.pad(frames, ((0, 1), (0, 1), (0, 1), (0, 0)), mode="edge")
    np.testing.assert_array_equal(enhance(pipeline, frames), enhance(pipeline, padded)[:4, :7, :11])


def test_windows_are_enhanced_alone_and_blended(pipeline):
    frames = clip(8, 8, 8)
    made = enhance(pipeline, frames, seed=5)
    first, second = (enhance(pipeline, frames[3 * i :][:5], seed=5 + i) for i in range(2))
    np.testing.assert_array_equal(made[:4], first[:4])  # the first shared one is the first one's
    half = np.round((first[4].astype(np.float32) + second[1]) / 2)
    assert np.max(np.abs(made[4] - half)) <= 1
    np.testing.assert_array_equal(made[5:], second[2:])


def test_nothing_of_a_long_video_is_kept(pipeline):
    """The first part comes when two windows have been read."""
    taken = []
    frames = (taken.append(0) or frame for frame in clip(20, 8, 8))
    parts = pipeline.run(frames, EnhanceRequest(**SIZES), progress=False)
    assert len(next(parts)) == 3
    assert len(taken) == 8
    parts.close()


def test_options_change_what_is_made(pipeline):
    frames = clip(5, 8, 8)
    made = enhance(pipeline, frames)
    np.testing.assert_array_equal(made, enhance(pipeline, frames))
    together = {"guidance": Guidance(scale=2.0, together=True)}
    assert np.max(np.abs(enhance(pipeline, frames, **together).astype(int) - made)) <= 1
    guidance = Guidance(scale=1.0)
    for option in (
        {"seed": 1}, {"sigma": 0.6}, {"steps": 2}, {"prompt": "blurry"}, {"guidance": guidance},
    ):  # fmt: skip
        assert not np.array_equal(enhance(pipeline, frames, **option), made), option


def test_low_rank_updates_merged_and_not(published, pipeline):
    frames = clip(5, 8, 8)
    made = enhance(pipeline, frames)

    def other(**options):
        loaded = EnhancerPipeline.from_pretrained(published, lora_alpha=ALPHA, **options)
        return enhance(loaded, frames).astype(int)

    assert np.max(np.abs(other(lora_merged=False) - made)) <= 1
    assert np.max(np.abs(other(lora_scale=0.0) - made)) > 1
    mesh = {"tensor": 2}
    assert np.max(np.abs(other(lora_merged=False, mesh=mesh) - made)) <= SHARDED_LEVELS


def test_a_mesh_makes_the_same(published, pipeline):
    frames = clip(13, 16, 8)  # four windows, two at a time, the last one moved back
    mesh = {"data": 2, "sequence": 2, "tensor": 2}
    sharded = EnhancerPipeline.from_pretrained(published, lora_alpha=ALPHA, mesh=mesh)
    difference = np.abs(enhance(sharded, frames).astype(int) - enhance(pipeline, frames))
    assert np.max(difference) <= SHARDED_LEVELS


def test_eight_bit_weights(published, pipeline):
    frames = clip(5, 8, 8)
    narrow = EnhancerPipeline.from_pretrained(published, lora_alpha=ALPHA, quantize="int8")
    made, whole = (enhance(each, frames).astype(np.float32) for each in (narrow, pipeline))
    assert 0 < np.mean(np.abs(made - whole)) < 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sigma": 0.0}, r"sigma=0.0 must lie in \(0, 1\]"),
        ({"steps": 0}, "steps=0 must be at least 1"),
        ({"prompt": " "}, "the prompt is empty"),
        ({"window": 6}, r"window=6 must be 4k\+1"),
        ({"overlap": 3}, "overlap=3 must lie in 0 to 2"),
        ({"seed": -1}, "seed=-1 must lie in 0"),
    ],
)
def test_wrong_requests_are_refused_before_anything_runs(options, message):
    pipeline = EnhancerPipeline.random(SMALL)
    pipeline.models.fetch = None
    with pytest.raises(ValueError, match=message):
        enhance(pipeline, clip(5, 8, 8), **options)


def test_a_video_without_frames_is_refused(pipeline):
    with pytest.raises(ValueError, match="no frames"):
        enhance(pipeline, clip(0, 8, 8))


def test_a_call_takes_a_video_and_gives_the_frames_of_enhance(pipeline, tmp_path):
    frames, seen = clip(5, 16, 16), []
    made = pipeline(
        video=frames.astype(np.float32) / 255,
        strength=0.5,
        guidance_scale=1.0,
        seed=4,
        callback_on_step_end=lambda _, step, time, given: seen.append((step, time, len(given))),
        **SIZES,
    )
    own = enhance(pipeline, frames, sigma=0.5, guidance=1.0, seed=4)
    np.testing.assert_array_equal(np.rint(made.frames[0] * 255), own)
    assert seen == [(0, 500.0, 1)]
    assert made.videos[0].fps == 24
    video.Video(frames, 12, {"prompt": "a boat"}).save(tmp_path / "made.mp4")
    better = pipeline(video=tmp_path / "made.mp4", seed=4, output_type="pil", **SIZES).videos[0]
    assert (better.fps, better.record["source"]) == (12, {"prompt": "a boat"})
    assert better.record["inputs"]["video"]["path"] == str(tmp_path / "made.mp4")
    assert (better.record["system"], better.record["seed"]) == ("enhancer", 4)
    assert {"lora", "dit", "vae", "text"} <= set(better.record["weights"]["digests"])
    with pytest.raises(ValueError, match=r"'sgima' \(did you mean sigma\?\)"):
        pipeline.enhance(frames, sgima=0.5)
