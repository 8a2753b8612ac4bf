# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from PIL import Image

from mugv_jax import video
from mugv_jax.bounds import MAX_SEED
from mugv_jax.systems.mugv.request import Request, read_given
from mugv_jax.systems.mugv.size import VideoSize

NAN, INF = float("nan"), float("inf")
CLIP = np.random.default_rng(0).integers(0, 256, (12, 40, 64, 3), np.uint8)


def request(frames=17, **fields):
    size = VideoSize(width_px=48, height_px=32, frames=frames)
    return Request(**{"prompts": ("a boat",), "size": size} | fields)


def test_the_prompt_ends_as_in_training_unless_told_otherwise():
    assert request().texts() == ["a boat aesthetic score: 6.0."]
    assert request(aesthetic_score=5).texts() == ["a boat aesthetic score: 5.0."]
    assert request(aesthetic_score=None).texts() == ["a boat"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"prompts": ()}, "no prompt"),
        ({"prompts": ("a", " \n")}, "prompt 2 is empty"),
        ({"steps": 0}, "steps=0"),
        ({"fps": 0.5}, "fps=0.5 must lie in 1 to 1000"),
        ({"fps": NAN}, "fps=nan"),
        ({"conditioning_fps": INF}, "conditioning_fps=inf"),
        ({"strength": 0}, "strength=0"),
        ({"strength": NAN}, "strength=nan"),
        ({"aesthetic_score": NAN}, "aesthetic_score=nan"),
        ({"aesthetic_score": -1}, "aesthetic_score=-1"),
        ({"seed": -1}, "seed=-1"),
        ({"seed": MAX_SEED, "prompts": ("a", "b")}, f"must lie in 0 to {MAX_SEED - 1}"),
        ({"seed": [3, -1], "prompts": ("a", "b")}, f"seed=-1 must lie in 0 to {MAX_SEED}"),
        ({"rows": 0}, "rows=0 must be at least 1"),
    ],
)
def test_values_out_of_range_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        request(**fields)


def test_the_ends_of_every_range_are_accepted():
    low = request(
        steps=1, fps=1, conditioning_fps=1000, strength=1, aesthetic_score=0, seed=0, rows=1
    )
    high = request(seed=MAX_SEED, aesthetic_score=10, negative_prompt=" ")
    assert low.texts() == ["a boat aesthetic score: 0.0."]
    assert (low.seeds(), high.seeds()) == ([0], [MAX_SEED])
    several = {"prompts": ("a", "b")}
    assert request(seed=MAX_SEED - 1, **several).seeds() == [MAX_SEED - 1, MAX_SEED]
    assert request(seed=(MAX_SEED, 0), **several).seeds() == [MAX_SEED, 0]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"image": "a", "continue_video": "b", "continue_frames": 9}, "both set the first frame"),
        ({"image": "a", "frames": 16}, "needs 8k.1 frames, such as 17"),
        ({"continue_video": "a", "continue_frames": 8}, "continue_frames=8 must be 8k.1"),
        ({"continue_video": "a"}, "continue_frames=17 leaves nothing to generate of 17 frames"),
        ({"image": "a", "keyframes": {0: "b"}}, "image and keyframe 0 fall on the same latent"),
        ({"last_image": "a", "keyframes": {9: "b"}}, "last_image and keyframe 9 fall on the same"),
        (
            {"continue_video": "a", "continue_frames": 9, "keyframes": {8: "b"}},
            "continued video and keyframe 8 fall on the same",
        ),
        ({"keyframes": {17: "a"}}, "frame 17 does not exist"),
        ({"image": "a", "frames": 1}, "image: all of 1 frames are given"),
        ({"image": "a", "last_image": "b", "frames": 9}, "image, last_image: all of 9 frames"),
        (
            {"continue_video": "a", "continue_frames": 9, "last_image": "b"},
            "last_image, continued video: all of 17 frames",
        ),
        ({"keyframes": {0: "a", 8: "b"}, "frames": 16}, "all of 16 frames are given"),
    ],
)
def test_given_frames_that_contradict_each_other_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        request(**fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"seed": [1]}, "seed has 1 entries, but the number of prompts is 2: give one for all"),
        ({"image": ["a"] * 3}, "image has 3 entries, but the number of prompts is 2"),
        ({"last_image": ()}, "last_image has 0 entries"),
        ({"keyframes": [{9: "a"}]}, "keyframes has 1 entries"),
        ({"init_video": ["a"]}, "init_video has 1 entries"),
        ({"image": [None, "a"], "keyframes": {0: "b"}}, "prompt 2: image and keyframe 0 fall on"),
        ({"keyframes": [{16: "a"}, {17: "b"}]}, "prompt 2: frame 17 does not exist"),
        ({"init_video": ["a", None]}, "prompt 2 has no init_video, but others have one"),
        ({"image": "a", "keyframes": {0: "b"}}, "^image and keyframe 0 fall on"),
    ],
)
def test_what_each_prompt_has_of_its_own_is_checked(fields, message):
    with pytest.raises(ValueError, match=message):
        request(prompts=("a boat", "a cat"), **fields)


def test_a_source_that_prompts_share_is_read_once(tmp_path, monkeypatch):
    path = tmp_path / "picture.png"
    Image.fromarray(CLIP[0]).save(path)
    read, read_image = [], video.read_image
    monkeypatch.setattr(video, "read_image", lambda source: read.append(source) or read_image(path))
    several = {"prompts": ("a", "b", "c"), "last_image": CLIP[1]}
    given = read_given(request(image=[path, None, str(path)], **several))
    assert len(read) == 1
    assert given[0].start is given[2].start
    assert given[1].start is None
    assert given[0].images[2] is given[1].images[2] is given[2].images[2]
    each = read_given(request(keyframes=[{0: CLIP[0]}, None, {-1: CLIP[2]}], prompts=("a",) * 3))
    np.testing.assert_array_equal(each[0].start, video.fit(CLIP[:1], 32, 48))
    assert each[1].clips() == []
    np.testing.assert_array_equal(each[2].images[2], video.fit(CLIP[2:3], 32, 48))


def test_times_start_at_the_strength_of_a_video_to_start_from():
    assert request().schedule()[0] == 1
    assert request(shift=1.0, init_video=CLIP, strength=0.5).schedule()[0] == 0.5
    assert request(init_video=[None], strength=0.5).schedule()[0] == 1


def test_pictures_are_read_from_files_arrays_and_pillow_images(tmp_path):
    path = tmp_path / "picture.png"
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by a quarter
    cut_out = Image.fromarray(np.dstack([CLIP[0], CLIP[1, ..., 0]]))
    cut_out.save(path, exif=exif)
    pillow = Image.open(path)
    expected = video.fit(video.read_image(path), 32, 48)
    for source in (path, str(path), pillow):
        (given,) = read_given(request(keyframes={9: source}))
        np.testing.assert_array_equal(given.images[2][0], expected)
    (given,) = read_given(request(image=CLIP[0], keyframes={-1: CLIP[1]}))
    np.testing.assert_array_equal(given.start, video.fit(CLIP[:1], 32, 48))
    np.testing.assert_array_equal(given.images[2], video.fit(CLIP[1:2], 32, 48))


def test_the_right_end_of_a_video_is_taken(tmp_path):
    path = tmp_path / "clip.mp4"
    video.write_video(path, CLIP, 20)
    read = video.read_video(path).frames
    for source in (path, read):
        asked = request(continue_video=source, continue_frames=9, init_video=None)
        np.testing.assert_array_equal(read_given(asked)[0].start, video.fit(read[-9:], 32, 48))
        asked = request(frames=8, init_video=source)
        np.testing.assert_array_equal(read_given(asked)[0].init, video.fit(read[:8], 32, 48))


@pytest.mark.parametrize("fps", [60, 20, 15])
def test_videos_are_taken_at_the_rate_of_the_result(fps, tmp_path, caplog):
    path = tmp_path / "clip.mp4"
    video.write_video(path, np.concatenate([CLIP] * 4), 60)
    read = video.fit(video.read_video(path).frames, 32, 48)
    step = 60 // fps
    fields = {"fps": fps, "frames": 8, "init_video": path}
    (given,) = read_given(request(**fields))
    np.testing.assert_array_equal(given.init, read[: 8 * step : step])
    fields = {"fps": fps, "continue_video": path, "continue_frames": 9}
    (given,) = read_given(request(**fields))
    np.testing.assert_array_equal(given.start, read[47 - 8 * step :: step])
    notes = [each.getMessage() for each in caplog.records]
    assert len(notes) == (step > 1)
    assert all(f"has 60 frames per second: its frames are taken by their times at {fps} per" in each
               for each in notes)  # fmt: skip
    with pytest.raises(ValueError, match=r"has 16 frames at 20 per second, but 17 are needed"):
        read_given(request(fps=20, init_video=path))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"image": CLIP[0] / 255}, r"image must be .* uint8 \(h, w, 3\), not float64"),
        ({"last_image": CLIP[0, ..., 0]}, "last_image must be"),
        ({"keyframes": {9: CLIP}}, "keyframe 9 must be"),
        ({"image": "missing.png"}, "image 'missing.png' does not exist"),
        ({"init_video": CLIP[0]}, r"init_video must be .* uint8 \(f, h, w, 3\)"),
        ({"init_video": CLIP}, "init_video has 12 frames, but 17 are needed"),
        ({"continue_video": CLIP[:5], "continue_frames": 9}, "continue_video has 5 frames"),
        ({"image": [CLIP[0] / 255]}, "prompt 1: image must be a file's path"),
    ],
)
def test_pictures_of_another_form_are_named(fields, message):
    with pytest.raises(ValueError, match=message):
        read_given(request(**fields))


def test_pictures_of_another_shape_are_fitted_as_asked_and_told_once(tmp_path, caplog):
    wide = np.repeat(CLIP[0], 3, axis=1)
    path = tmp_path / "wide.png"
    Image.fromarray(wide).save(path)
    for how in video.FITS:
        (given,) = read_given(request(image=path, keyframes={9: wide}, fit=how))
        np.testing.assert_array_equal(given.start, video.fit(wide[None], 32, 48, how))
        np.testing.assert_array_equal(given.images[2], given.start)
    read_given(request(image=path))
    height, width = wide.shape[:2]
    notes = [each.getMessage() for each in caplog.records]
    lost = video.lost_share(height, width, 32, 48)
    assert notes == [
        f"{name!r} is {width}x{height}, another shape than the video: {lost:.0%} of it is cut off "
        "at the sides; --fit pad keeps all of it, or choose a --size of its shape."
        for name in ("keyframe 9", str(path))
    ]
    with pytest.raises(ValueError, match="fit='squeeze' must be one of"):
        request(fit="squeeze")


def test_all_problems_of_keyframes_are_told_together():
    message = (
        "frame 17 does not exist .* frame -18 does not exist .* keyframe 8 and keyframe 1 fall on "
        r"the same latent frame \(frames 1 to 8, for which one picture stands\)"
    )
    with pytest.raises(ValueError, match=message):
        request(keyframes={1: "a", 17: "b", -18: "c", 8: "d"})
    pictures = {9: CLIP[0] / 255, 1: CLIP[0], 16: "missing.png"}
    with pytest.raises(ValueError, match=r"keyframe 9 must be .* image 'missing.png' does not"):
        read_given(request(frames=25, keyframes=pictures | {17: pictures.pop(16)}))


@pytest.mark.parametrize("frames", [17, 16])
def test_frames_of_a_latent_frame_are_those_that_it_covers(frames):
    size = VideoSize(width_px=48, height_px=32, frames=frames)
    for latent in range(size.latent_shape[0]):
        first, last = size.frames_of(latent)
        covered = [frame for frame in range(frames) if size.latent_index(frame) == latent]
        assert covered == [*range(first, last + 1)]
