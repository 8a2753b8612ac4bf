# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import collections
import itertools
import math
import re

import numpy as np
import pytest

from mugv_jax.demo.world import scene as scenes
from mugv_jax.demo.world.captions import MOTION_PHRASES, NOUNS, TEMPLATES, caption
from mugv_jax.demo.world.clips import DemoClips
from mugv_jax.demo.world.objects import path
from mugv_jax.demo.world.render import LIGHT, RGB, TONE_RGB, render
from mugv_jax.demo.world.scene import WORLDS, Format, World, combinations, draw
from mugv_jax.demo.world.segment import LEAST_CHROMA, chroma
from mugv_jax.demo.world.shapes import FORMS

TEXT_CLIPS = 300
WORDS = 120  # limit of distinct words in all captions


@pytest.fixture(scope="module")
def some():
    return [draw("train", number) for number in range(TEXT_CLIPS)]


def test_training_sees_every_pair_of_attributes_of_unseen_combinations():
    seen, unseen = combinations("train"), combinations("unseen")
    assert combinations("validation") == seen
    assert not set(seen) & set(unseen)
    assert len(seen) + len(unseen) == len(scenes.SHAPES) * len(RGB) * len(scenes.MOTIONS)
    for pair in itertools.combinations(range(3), 2):
        counts = collections.Counter(tuple(each[i] for i in pair) for each in unseen)
        assert set(counts.values()) == {1}
        assert len(counts) == 64


def test_training_sees_every_pair_of_attributes_in_the_small_world():
    world = WORLDS["small"]
    seen, unseen = combinations("train", world), combinations("unseen", world)
    parts = (world.shapes, world.colours, world.motions)
    assert set(seen) | set(unseen) == set(itertools.product(*parts))
    assert not set(seen) & set(unseen)
    assert 0.1 < len(unseen) / len(seen) < 0.2
    for i, j in itertools.combinations(range(3), 2):
        pairs = set(itertools.product(parts[i], parts[j]))
        assert {(each[i], each[j]) for each in seen} == pairs
        counts = collections.Counter((each[i], each[j]) for each in unseen)
        assert max(counts.values()) == 1


@pytest.mark.parametrize("split", scenes.SPLITS)
def test_the_small_world_draws_only_its_words(split):
    world = WORLDS["small"]
    allowed = set(combinations(split, world))
    for number in range(200):
        scene = draw(split, number, world=world)
        thing = scene.main.thing
        assert (thing.shape, thing.colour, scene.motion) in allowed
        assert (scene.second, thing.texture, scene.backdrop.camera) == (None, "plain", "still")
        assert scene.backdrop.pattern in world.patterns


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"colours": ("red", "mauve")}, "colours=.* must be some of red, orange"),
        ({"shapes": ("box", "box")}, "each once"),
        ({"motions": ()}, r"motions=\(\) must be"),
        ({"second": 1.5}, r"second=1.5 must lie in \[0, 1\]"),
        ({"textures": ("plain",)}, "rotate need the texture 'striped'"),
    ],
)
def test_invalid_worlds_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        World(**values)


@pytest.mark.parametrize("split", scenes.SPLITS)
def test_a_split_draws_its_combinations(split):
    drawn = {
        (each.main.thing.shape, each.main.thing.colour, each.motion)
        for each in (draw(split, number) for number in range(100))
    }
    assert drawn <= set(combinations(split))
    assert len(drawn) > 40


def test_a_clip_depends_on_its_number_only():
    long, short = DemoClips(split="train", count=50), DemoClips(split="train", count=4)
    np.testing.assert_array_equal(long[3].video, short[3].video)
    assert long[3].caption == short[-1].caption
    others = (
        long[4],
        DemoClips(split="validation", count=4)[3],
        DemoClips(split="train", count=4, seed=1)[3],
    )
    assert all((other.video != short[3].video).any() for other in others)
    with pytest.raises(IndexError):
        short[4]


def test_frames_have_the_format_asked_for():
    format = Format(height_px=64, width_px=96, frames=9, fps=12)
    clip = DemoClips(split="unseen", count=1, format=format)[0]
    assert (clip.video.shape, clip.video.dtype, clip.fps) == ((9, 64, 96, 3), np.uint8, 12)


def test_objects_stay_in_the_frame_and_do_not_touch(some):
    for scene in some:
        poses = path(scene.main, np.linspace(0, 1, 9))
        assert all(max(abs(pose.x), abs(pose.y)) + pose.radius <= 0.5 for pose in poses)
        if scene.second:
            other = scene.second.first
            assert all(
                math.hypot(pose.x - other.x, pose.y - other.y) > pose.radius + other.radius
                for pose in poses
            )


def test_the_main_object_is_the_larger_one_and_of_another_colour(some):
    def area(placed):
        radius = (placed.first.radius + placed.last.radius) / 2
        return radius**2 * FORMS[placed.thing.shape].area

    two = [scene for scene in some if scene.second]
    assert 0.2 < len(two) / len(some) < 0.4
    for scene in two:
        assert 2 * area(scene.second) < area(scene.main)
        assert scene.main.thing.colour != scene.second.thing.colour


@pytest.mark.parametrize("shape", scenes.SHAPES)
def test_silhouettes_fill_their_stated_area(shape):
    side = np.linspace(-1.2, 1.2, 241)
    x, y = np.meshgrid(side, side)
    distance = FORMS[shape].distance(x, y)
    inside = distance < 0
    assert np.hypot(x, y)[inside].max() <= 1.01
    area = inside.sum() * (side[1] - side[0]) ** 2 / math.pi
    assert area == pytest.approx(FORMS[shape].area, abs=0.02)
    for axis in (0, 1):  # no steeper than a distance, or outlines would be hard
        assert np.abs(np.diff(distance, axis=axis)).max() < 1.001 * (side[1] - side[0])


def test_backdrops_are_grey_and_objects_are_not():
    tones, colours = (chroma(np.array(list(rgb.values()))) for rgb in (TONE_RGB, RGB))
    assert np.linalg.norm(tones, axis=-1).max() < LEAST_CHROMA / 2
    assert np.linalg.norm(colours, axis=-1).min() > 2.5 * LEAST_CHROMA
    assert math.hypot(*LIGHT) == pytest.approx(1, abs=0.01)


def test_the_camera_moves_the_backdrop_and_not_the_object():
    for number in range(200):
        scene = draw("train", number)
        if scene.backdrop.camera.startswith("pan") and scene.motion == "still":
            break
    video = render(scene).astype(int)
    change = np.abs(video[0] - video[-1]).sum(axis=-1) > 30
    height, width = change.shape
    row, column = (
        int((0.5 + at) * side)
        for at, side in ((scene.main.first.y, height), (scene.main.first.x, width))
    )
    assert not change[row - 3 : row + 4, column - 3 : column + 4].any()
    assert change.mean() > 0.05


def test_captions_mention_shape_colour_and_motion_main_object_first(some):
    for scene in some:
        text, thing = caption(scene), scene.main.thing
        assert any(phrase in text for phrase in MOTION_PHRASES[scene.motion])
        noun = rf"{thing.colour} ({'|'.join(NOUNS[thing.shape])})"
        first = re.search(noun, text)
        assert first, text
        if scene.second:
            second = scene.second.thing
            noun = rf"{second.colour} ({'|'.join(NOUNS[second.shape])})"
            assert re.search(noun, text).start() > first.start()
        camera = scene.backdrop.camera
        assert ("camera" in text) == (camera != "still")
        assert camera.split()[-1] in text or camera == "still"
        if scene.backdrop.pattern != "plain":
            assert f"{scene.backdrop.pattern} {scene.backdrop.tone}" in text
        assert not re.search(r"\ba [aeiou]|\ban [^aeiou]|[{}]|  ", text), text


def test_captions_vary_within_a_small_vocabulary(some):
    texts = [caption(scene) for scene in some]
    assert len(TEMPLATES) >= 20
    assert len(set(texts)) > 0.95 * len(texts)
    words = {word for text in texts for word in re.findall(r"\w+", text)}
    assert len(words) < WORDS
    assert texts == [caption(draw("train", number)) for number in range(TEXT_CLIPS)]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"height_px": 72}, "height_px=72 must be 64, 80 or 96"),
        ({"frames": 16}, "frames=16 must be 8k"),
        ({"frames": 1}, "at least 9"),
        ({"fps": 0}, "fps=0 must lie in"),
    ],
)
def test_formats_out_of_range_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        Format(**values)


def test_unknown_splits_are_refused():
    with pytest.raises(ValueError, match="split 'test' must be one of train"):
        DemoClips(split="test", count=1)
    with pytest.raises(ValueError, match="split 'test' must be one of train"):
        draw("test", 0)
    with pytest.raises(ValueError, match="count=0 must be at least 1"):
        DemoClips(split="train", count=0)
