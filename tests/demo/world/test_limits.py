# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import re
from pathlib import Path

import numpy as np
import pytest
import skimage
from PIL import Image, ImageDraw

from mugv_jax import video
from mugv_jax.demo.world import limits
from mugv_jax.demo.world.captions import caption
from mugv_jax.demo.world.render import render
from mugv_jax.demo.world.scene import WORLDS, draw
from mugv_jax.systems.mugv.models import demo_weights

SMALL = WORLDS["small"]
PHOTOS = Path(skimage.__file__).parent / "data"


def scenes(count, world="small"):
    return [draw(("train", "unseen")[i % 2], i, seed=5, world=WORLDS[world]) for i in range(count)]


def drawing(draw_object, backdrop=(240, 240, 240)):
    """A picture of 256x256 pixels with an object on a backdrop."""
    image = Image.new("RGB", (256, 256), backdrop)
    draw_object(ImageDraw.Draw(image))
    return np.asarray(image)


def test_the_words_are_those_of_the_worlds_captions():
    captions = [caption(each) for each in scenes(1500)]
    found = {word for each in captions for word in re.findall(r"\w+", each)}
    assert found == limits.caption_words(SMALL)
    for text in captions[:100]:
        assert not limits.foreign_words(text, SMALL), text
        assert not limits.several(text, SMALL), text


@pytest.mark.parametrize(
    ("prompt", "foreign"),
    [
        ("A red star moves left.", []),
        ("a red paper boat on a wet street", ["paper", "boat", "wet", "street"]),
        ("a pink ring spins", ["pink", "ring", "spins"]),  # of the large world
    ],
)
def test_words_that_the_model_has_never_seen_are_found(prompt, foreign):
    assert limits.foreign_words(prompt, SMALL) == foreign


@pytest.mark.parametrize(
    ("prompt", "named"),
    [
        ("a red ball and a blue box", ["red", "blue", "ball", "box"]),
        ("the red cube; the box grows", []),
        ("a blue ball on a white wall", []),
        ("a blue ball in front of a pale blue backdrop", []),
    ],
)
def test_several_objects_are_found(prompt, named):
    assert limits.several(prompt, SMALL) == named


def test_pictures_of_the_world_are_known():
    shipped = video.read_image(demo_weights() / "picture.png")
    assert limits.why_foreign(shipped, SMALL) is None
    for scene in scenes(60):
        frames = render(scene)
        for picture in (frames[0], frames[-1]):
            assert limits.why_foreign(picture, SMALL) is None, scene
    large = np.repeat(np.repeat(shipped, 5, 0), 5, 1)
    assert limits.why_foreign(large, SMALL) is None


@pytest.mark.parametrize(
    "name", ["astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "camera.png", "moon.png"]
)
def test_photos_are_not(name):
    photo = np.asarray(Image.open(PHOTOS / name).convert("RGB"))
    assert limits.why_foreign(photo, SMALL)


@pytest.mark.parametrize(
    ("picture", "reason"),
    [
        (drawing(lambda _: None), "no object of a vivid colour"),
        (drawing(lambda _: None, (200, 30, 30)), "its edges"),
        (drawing(lambda d: d.rectangle((20, 120, 236, 135), (214, 40, 40))), "no ball, box"),
        (
            drawing(
                lambda d: (
                    d.ellipse((40, 90, 130, 180), (214, 40, 40)),
                    d.ellipse((160, 90, 230, 160), (44, 88, 220)),
                )
            ),
            "vivid colours beside",
        ),
        (
            drawing(
                lambda d: (
                    [d.line((x, 0, x, 256), (60, 60, 60), 5) for x in range(0, 256, 16)],
                    d.ellipse((80, 80, 180, 180), (214, 40, 40)),
                )
            ),
            "not smooth",
        ),
    ],
)
def test_what_is_wrong_with_a_picture_is_told(picture, reason):
    assert reason in limits.why_foreign(picture, SMALL)


def test_there_is_a_sentence_for_each_and_none_for_what_is_known():
    photo = np.asarray(Image.open(PHOTOS / "coffee.png").convert("RGB"))
    known = render(scenes(1)[0])[0]
    assert limits.warnings(["a red ball rises"], [known], SMALL) == []
    words, picture = limits.warnings(["a boat", "a boat"], [known, photo, photo], SMALL)
    assert words == "The demo model has never seen the words 'boat'."
    assert "cannot animate this picture, since its edges" in picture
    (several,) = limits.warnings(["a red ball and a blue box"], [], SMALL)
    assert "makes one object, not several (red, blue, ball, box)" in several
