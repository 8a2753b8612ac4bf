# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mugv_jax.flow.guidance import Guidance
from mugv_jax.systems.frames import FALLBACK_TILING
from mugv_jax.systems.mugv import windows
from mugv_jax.systems.mugv.pipeline import MugvPipeline
from mugv_jax.systems.mugv.request import Request, read_given
from mugv_jax.systems.mugv.size import VideoSize
from mugv_jax.systems.sampling import Denoised
from mugv_jax.video import to_frames, to_pixels
from tests.systems.mugv.folders import SMALL

SHARDED = 1e-5  # relative L2: the order of float32 sums differs
SHARDED_LEVELS = 1  # a pixel half way between two levels may fall to either side
# Two steps down from 1e-4 of the path move a latent by 1e-4 of a velocity of order 1.
HARDLY_NOISED = 1e-2

WIDTH, HEIGHT = 48, 32
CLIP = np.random.default_rng(0).integers(0, 256, (24, HEIGHT, WIDTH, 3), np.uint8)
IMAGE = CLIP[0]
TILES = windows.Tiling(rows=3, columns=4)


@pytest.fixture(scope="module")
def pipeline() -> MugvPipeline:
    return MugvPipeline.random(SMALL, keep_loaded=True)


@pytest.fixture(scope="module")
def sharded() -> MugvPipeline:
    mesh = {"data": 2, "tensor": 2, "sequence": 2}
    return MugvPipeline.random(SMALL, mesh=mesh, keep_loaded=True)


def request(*prompts: str, frames: int = 17, **fields) -> Request:
    size = VideoSize(width_px=WIDTH, height_px=HEIGHT, frames=frames)
    return Request(prompts=prompts or ("a boat",), size=size, **({"steps": 2} | fields))


def latents(pipeline: MugvPipeline, *prompts: str, **fields) -> np.ndarray:
    asked = request(*prompts, **fields)
    made = pipeline.sample(asked, read_given(asked), progress=False)
    return np.stack([each.latent for each in made])


def frames(pipeline: MugvPipeline, *prompts: str, **fields) -> np.ndarray:
    asked = request(*prompts, **fields)
    videos = pipeline.run(asked, read_given(asked), progress=False)
    return np.stack([made.frames for made in videos])


def test_a_given_first_frame_is_returned_to_the_pixel(pipeline):
    (given,) = frames(pipeline, image=IMAGE)
    (free,) = frames(pipeline)
    assert given.shape == free.shape == (17, HEIGHT, WIDTH, 3)
    np.testing.assert_array_equal(given[0], IMAGE)
    assert not np.array_equal(free[0], IMAGE)
    np.testing.assert_array_equal(given, frames(pipeline, keyframes={0: IMAGE})[0])


def test_a_continued_video_begins_with_its_end(pipeline):
    (made,) = frames(pipeline, continue_video=CLIP, continue_frames=9)
    np.testing.assert_array_equal(made[:9], CLIP[-9:])
    assert not np.array_equal(made[9:], frames(pipeline, image=CLIP[-9])[0, 9:])


@pytest.mark.parametrize(
    ("fields", "given"),
    [
        ({"image": IMAGE}, {0: IMAGE}),
        ({"last_image": IMAGE}, {2: IMAGE}),
        ({"image": CLIP[5], "keyframes": {3: IMAGE}}, {0: CLIP[5], 1: IMAGE}),
        ({"frames": 24, "keyframes": {8: IMAGE, 23: CLIP[1]}}, {1: IMAGE, 2: CLIP[1]}),
    ],
    ids=["first", "last", "first and middle", "middle and last of 8k"],
)
def test_given_latents_pass_through_the_sampler_untouched(pipeline, fields, given):
    (made,) = latents(pipeline, **fields)
    with pipeline.models.model("vae") as (vae, variables):
        for index, image in given.items():
            encoded = windows.encode(vae, variables, jnp.asarray(to_pixels(image[None, None])))
            np.testing.assert_array_equal(made[index], encoded[0, 0])
    free = latents(pipeline, frames=fields.get("frames", 17))[0]
    others = sorted(set(range(3)) - set(given))
    assert not np.array_equal(made[others], free[others])  # given frames have an effect


def test_an_init_video_hardly_noised_comes_back(pipeline):
    (made,) = latents(pipeline, init_video=CLIP, strength=1e-4)
    with pipeline.models.model("vae") as (vae, variables):
        encoded = windows.encode(vae, variables, jnp.asarray(to_pixels(CLIP[None, :17])))[0]
    assert np.linalg.norm(made - encoded) <= HARDLY_NOISED * np.linalg.norm(encoded)
    (noisier,) = latents(pipeline, init_video=CLIP, strength=0.9)
    assert np.linalg.norm(noisier - encoded) > 10 * HARDLY_NOISED * np.linalg.norm(encoded)


def test_each_prompt_of_several_is_the_run_of_it_alone(pipeline):
    several = frames(pipeline, "a boat", "a cat", seed=0)
    np.testing.assert_array_equal(several[0], frames(pipeline, "a boat", seed=0)[0])
    np.testing.assert_array_equal(several[1], frames(pipeline, "a cat", seed=1)[0])
    assert not np.array_equal(several[0], several[1])


def test_seed_prompts_and_conditions_all_matter(pipeline):
    base = latents(pipeline, seed=0)
    np.testing.assert_array_equal(base, latents(pipeline, seed=0))
    for other in (
        {"seed": 1},
        {"negative_prompt": "dark"},
        {"negative_prompt": ""},
        {"aesthetic_score": None},
        {"conditioning_fps": 8},
        {"guidance": Guidance(scale=2.0)},
    ):
        assert not np.array_equal(base, latents(pipeline, **({"seed": 0} | other))), other


def test_without_guidance_the_negative_prompt_is_not_heard(pipeline):
    off = Guidance(scale=1.0)
    np.testing.assert_array_equal(
        latents(pipeline, guidance=off), latents(pipeline, guidance=off, negative_prompt="dark")
    )


def denoised(pipeline: MugvPipeline, **fields) -> Denoised:
    asked = request(**fields)
    (made,) = pipeline.sample(asked, read_given(asked), progress=False)
    return made


def test_steps_that_reuse_a_velocity_are_counted_and_keep_what_is_given(pipeline, sharded):
    fields = {"image": IMAGE, "steps": 6}
    full, zero, some, fewest = (
        denoised(pipeline, reuse_threshold=threshold, **fields)
        for threshold in (0.0, 1e-9, 0.2, 1e6)
    )
    assert full.evaluations == zero.evaluations == full.possible == 12
    np.testing.assert_array_equal(full.latent, zero.latent)
    assert (fewest.evaluations, fewest.possible) == (4, 12)
    assert 4 < some.evaluations < 12
    assert np.linalg.norm(some.latent - full.latent) < np.linalg.norm(fewest.latent - full.latent)
    np.testing.assert_array_equal(some.latent[0], full.latent[0])
    on_eight = denoised(sharded, reuse_threshold=0.2, **fields)
    assert on_eight.evaluations == some.evaluations
    assert np.linalg.norm(on_eight.latent - some.latent) <= SHARDED * np.linalg.norm(some.latent)


OWN = {
    "pictures": {"image": [IMAGE, None, CLIP[7]], "last_image": CLIP[1]},
    "key frames": {"keyframes": [{8: IMAGE}, {}, {0: CLIP[2], 16: IMAGE}]},
    "continuation": {"continue_video": [CLIP, None, CLIP[:12]], "continue_frames": 9},
    "init videos": {"init_video": [CLIP, CLIP[5:], CLIP[:17]], "strength": 0.7},
}


@pytest.mark.parametrize("own", OWN)
def test_each_row_of_a_batch_is_the_same_request_alone(pipeline, own):
    """Rows have their own seeds, captions of different padded length, and pictures."""
    prompts, seeds = ("a boat", "a cat that sits on the mat. " * 4, "dogs"), [3, 9, 4]
    names = [name for name, value in OWN[own].items() if isinstance(value, list)]
    videos = frames(pipeline, *prompts, seed=seeds, rows=2, **OWN[own])
    for row, (prompt, seed) in enumerate(zip(prompts, seeds)):
        alone = OWN[own] | {name: OWN[own][name][row] for name in names}
        (expected,) = frames(pipeline, prompt, seed=seed, **alone)
        assert np.max(np.abs(videos[row].astype(int) - expected)) <= SHARDED_LEVELS


def test_generate_takes_a_picture_and_a_seed_for_each_prompt(pipeline):
    options = {"size": (WIDTH, HEIGHT), "frames": 17, "steps": 2, "progress": False}
    pictures, seeds = [IMAGE, CLIP[9]], [3, 9]
    made = pipeline.generate(["a", "b"], image=pictures, seed=seeds, rows=2, **options)
    for each, prompt, image, seed in zip(made, "ab", pictures, seeds, strict=True):
        np.testing.assert_array_equal(each.frames[0], image)
        alone = pipeline.generate(prompt, image=image, seed=seed, **options)
        assert np.max(np.abs(each.frames.astype(int) - alone.frames)) <= SHARDED_LEVELS


def test_rows_fill_the_data_shards_of_a_mesh(pipeline, sharded, shown):
    asked = {"prompt": ["a", "b", "c"], "image": [IMAGE, None, CLIP[3]], "seed": [5, 5, 6]}
    options = {"size": (WIDTH, HEIGHT), "frames": 9, "steps": 2}
    expected = pipeline.generate(progress=False, **asked, **options)
    made = sharded.generate(rows=3, **asked, **options)  # two shards: four rows
    assert "decoding video 1-3 of 3" in shown()
    for each, alone in zip(made, expected, strict=True):
        assert np.max(np.abs(each.frames.astype(int) - alone.frames)) <= SHARDED_LEVELS


def test_texts_and_shared_pictures_are_encoded_once(monkeypatch):
    pipeline = MugvPipeline.random(SMALL)
    loaded, fetch = [], pipeline.models.fetch
    pipeline.models.fetch = lambda name, *rest: loaded.append(name) or fetch(name, *rest)
    encoded, encode = [], windows.encode
    monkeypatch.setattr(
        windows, "encode", lambda *a, **k: encoded.append(a[2].shape[:2]) or encode(*a, **k)
    )
    frames(pipeline, "a boat", "a cat", image=IMAGE, last_image=[CLIP[2], IMAGE])
    assert loaded == ["text", "vae", "dit", "vae"]
    assert encoded == [(1, 1), (1, 1)]
    frames(pipeline, "a cat", guidance=Guidance(scale=2.0), seed=1)
    assert loaded[4:] == ["dit", "vae"]


def test_a_reconstruction_comes_of_its_latent_alone(pipeline):
    videos = np.stack([CLIP[:17], CLIP[7:24], CLIP[3:20]])
    made = pipeline.reconstruct(videos)
    assert (made.shape, made.dtype) == (videos.shape, np.uint8)
    with pipeline.models.model("vae") as (vae, variables):
        latent = windows.encode(vae, variables, jnp.asarray(to_pixels(videos[1:2])))
        first = windows.decode(vae, variables, latent[:, :1])[0, -1:]
        rest = windows.decode(vae, variables, latent[:, 1:])[0]
    np.testing.assert_array_equal(made[1], to_frames(np.concatenate([first, rest])))
    together = pipeline.reconstruct(videos, rows=2)
    assert np.max(np.abs(together.astype(int) - made)) <= SHARDED_LEVELS
    assert pipeline.reconstruct(videos[:, :16]).shape == (3, 16, HEIGHT, WIDTH, 3)
    with pytest.raises(ValueError, match="the nearest are 9 and 17"):
        pipeline.reconstruct(videos[:, :10])
    with pytest.raises(ValueError, match="rows=0 must be at least 1"):
        pipeline.reconstruct(videos, rows=0)


@pytest.mark.parametrize(
    ("frames", "fields"),
    [
        (17, {}),
        (24, {}),
        (17, {"image": IMAGE, "last_image": CLIP[1]}),
        (17, {"continue_video": CLIP, "continue_frames": 9}),
        (17, {"init_video": CLIP, "strength": 0.5, "guidance": Guidance(scale=1.0)}),
    ],
    ids=["text", "text, 8k frames", "first and last image", "continuation", "init video, unguided"],
)
def test_eight_devices_give_the_latents_of_one(pipeline, sharded, frames, fields):
    asked = {"frames": frames, **fields}
    expected = latents(pipeline, "a boat", "a cat", "a dog", **asked)
    made = latents(sharded, "a boat", "a cat", "a dog", **asked)
    assert np.linalg.norm(made - expected) <= SHARDED * np.linalg.norm(expected)


def test_eight_devices_give_the_frames_of_one_also_in_tiles(pipeline, sharded, monkeypatch):
    whole = frames(pipeline, image=IMAGE)
    for each in (pipeline, sharded):
        monkeypatch.setattr(each, "tiling", TILES)
        tiled = frames(each, image=IMAGE)
        assert np.max(np.abs(tiled.astype(int) - whole)) <= SHARDED_LEVELS


def test_videos_are_handed_out_one_by_one_and_the_models_freed():
    pipeline = MugvPipeline.random(SMALL)
    loaded, fetch = [], pipeline.models.fetch

    def recorded(name, *arguments):
        assert all(leaf.is_deleted() for _, tree in loaded for leaf in jax.tree.leaves(tree))
        loaded.append((name, fetch(name, *arguments)))
        return loaded[-1][1]

    pipeline.models.fetch = recorded
    asked = request("a boat", "a cat", image=IMAGE)
    videos = pipeline.run(asked, read_given(asked), progress=False)
    assert not loaded
    next(videos)
    assert [name for name, _ in loaded] == ["text", "vae", "dit", "vae"]
    videos.close()
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(loaded[-1][1]))


def test_generate_returns_one_video_for_a_prompt_and_a_list_for_a_list(pipeline, shown, caplog):
    options = {"size": (WIDTH, HEIGHT), "frames": 17, "steps": 2, "seed": 0, "fps": 12}
    one = pipeline.generate("a boat", guidance=2.0, **options)
    (same,) = pipeline.generate(["a boat"], guidance=Guidance(scale=2.0), **options)
    assert (one.fps, one.frames.shape) == (12, (17, HEIGHT, WIDTH, 3))
    np.testing.assert_array_equal(one.frames, same.frames)
    assert {"denoising video 1 of 1", "decoding video 1 of 1"} <= set(shown())
    caplog.clear()
    pipeline.generate("a boat", progress=False, **options)
    assert not [task for task in shown() if "video" in task]


def test_frames_too_large_to_decode_whole_are_decoded_in_tiles(monkeypatch, caplog):
    """The device has memory for tiles only; sampled latents are not lost."""
    decode_in_steps, asked = windows.decode_in_steps, []

    def small_device(*arrays, tiling, **options):
        asked.append(tiling)
        if tiling is None:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 1 byte")
        return decode_in_steps(*arrays, tiling=tiling, **options)

    expected = MugvPipeline.random(SMALL, tiling=FALLBACK_TILING)
    monkeypatch.setattr(windows, "decode_in_steps", small_device)
    made = MugvPipeline.random(SMALL)
    np.testing.assert_array_equal(frames(made, "a", "b"), frames(expected, "a", "b"))
    assert asked.count(None) == 1
    assert "tiles" in caplog.text
