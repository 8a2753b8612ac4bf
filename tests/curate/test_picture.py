# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Measures of single pictures: bars at the borders, sharpness, watermarks."""

import itertools
import math

import cv2
import numpy as np
import pytest

from mugv_jax.curate.stages.borders import Borders
from mugv_jax.curate.stages.sharpness import Sharpness, laplacian_variance, steepness
from mugv_jax.curate.stages.watermark import Watermark
from tests.curate.photos import HEIGHT, WIDTH, photo, views

PHOTOS = ("astronaut.png", "coffee.png")


def row(frames: np.ndarray, scale: int = 1) -> dict:
    """A row with key frames of a video that is `scale` times as large."""
    height, width = frames.shape[1:3]
    return {"key_frames": frames, "width_px": width * scale, "height_px": height * scale}


def noisy(frames: np.ndarray) -> np.ndarray:
    """Frames with errors as a codec leaves them."""
    errors = np.random.default_rng(0).normal(0, 1.5, frames.shape)
    return np.clip(frames + errors, 0, 255).astype(np.uint8)


def barred(frames: np.ndarray, box: tuple[int, ...], colour: tuple[int, ...]) -> np.ndarray:
    """Frames with bars outside of a box."""
    left, top, right, bottom = box
    made = np.empty_like(frames)
    made[:] = colour
    made[:, top:bottom, left:right] = frames[:, top:bottom, left:right]
    return noisy(made)


@pytest.mark.parametrize("name", PHOTOS)
@pytest.mark.parametrize(
    ("box", "colour"),
    [
        ((0, 24, WIDTH, HEIGHT - 24), (0, 0, 0)),
        ((40, 0, WIDTH - 40, HEIGHT), (255, 255, 255)),
        ((110, 0, WIDTH - 110, HEIGHT), (16, 16, 16)),  # a portrait video in a wide frame
        ((60, 20, WIDTH - 60, HEIGHT - 20), (20, 60, 120)),
        ((0, 0, WIDTH, HEIGHT - 26), (0, 0, 0)),
    ],
)
def test_bars_are_found_to_the_pixel(name, box, colour):
    (found,) = Borders()([row(barred(views(name), box, colour))])
    assert found["content_box"] == list(box)
    left, top, right, bottom = box
    assert found["border_share"] == pytest.approx(
        1 - (right - left) * (bottom - top) / (WIDTH * HEIGHT)
    )


def test_the_box_is_in_pixels_of_the_video():
    frames = barred(views("coffee.png"), (0, 25, WIDTH, HEIGHT - 25), (0, 0, 0))
    (found,) = Borders()([row(frames, scale=4)])
    assert found["content_box"] == [0, 100, 4 * WIDTH, 4 * (HEIGHT - 25)]


def test_words_do_not_end_a_bar():
    frames = barred(views("astronaut.png"), (0, 28, WIDTH, HEIGHT - 28), (0, 0, 0))
    for frame in frames:
        place = WIDTH // 4, HEIGHT - 8
        cv2.putText(frame, "what did you say?", place, 0, 0.45, (255, 255, 255), 1, cv2.LINE_AA)
    (found,) = Borders()([row(frames)])
    assert found["content_box"] == [0, 28, WIDTH, HEIGHT - 28]


@pytest.mark.parametrize("name", PHOTOS)
def test_a_blurred_copy_at_the_sides_is_a_bar(name):
    frames = views(name)
    copy = np.stack([cv2.GaussianBlur(each[50:130, 90:230], (0, 0), 4) for each in frames])
    made = np.stack([cv2.resize(each, (WIDTH, HEIGHT)) for each in copy])
    made[:, :, 70:-70] = frames[:, :, 70:-70]
    (found,) = Borders()([row(noisy(made))])
    assert found["content_box"] == [70, 0, WIDTH - 70, HEIGHT]


def disc_on_plain_ground() -> np.ndarray:
    frames = np.full((3, HEIGHT, WIDTH, 3), 200, np.uint8)
    for i, frame in enumerate(frames):
        cv2.circle(frame, (WIDTH // 2, 70 + 20 * i), 50, (30, 160, 60), -1)
    return frames


@pytest.mark.parametrize(
    "frames",
    [
        *(views(name) for name in PHOTOS),
        *((views(name) * 0.1).astype(np.uint8) for name in PHOTOS),
        (views("coffee.png") * np.linspace(-0.5, 1, HEIGHT).clip(0)[:, None, None]).astype(
            np.uint8
        ),
        disc_on_plain_ground(),
        np.zeros((3, HEIGHT, WIDTH, 3), np.uint8),
    ],
    ids=["photo", "photo 2", "dark", "dark 2", "dark above", "plain ground", "black"],
)
def test_scenes_without_bars_have_none(frames):
    (found,) = Borders()([row(noisy(frames))])
    assert found["border_share"] == 0
    assert found["content_box"] is None


def test_variance_of_the_laplacian_of_one_bright_pixel():
    grey = np.zeros((20, 30), np.uint8)
    grey[10, 15] = 50
    assert laplacian_variance(grey) == pytest.approx(50**2 * (4**2 + 4) / grey.size)


@pytest.mark.parametrize("name", PHOTOS)
def test_blur_lowers_sharpness_and_steepness(name):
    frames = views(name)
    found = Sharpness()(
        [row(frames)]
        + [row(np.stack([cv2.GaussianBlur(f, (0, 0), s) for f in frames])) for s in (1, 2, 4)]
    )
    for a, b in itertools.pairwise(found):
        assert b["sharpness"] < a["sharpness"]
        assert b["steepness"] < a["steepness"]
    assert found[-1]["steepness"] < 0.22 < found[0]["steepness"]


@pytest.mark.parametrize("sigma", [1.0, 1.5, 2.0])
@pytest.mark.parametrize("turned", [False, True])
def test_steepness_of_a_blurred_step(sigma, turned):
    step = np.repeat(np.float32([20, 220]), 40) * np.ones((80, 1), np.float32)
    grey = cv2.GaussianBlur(step.T if turned else step, (0, 0), sigma)
    # Between two pixels the profile is an integral over one pixel, no derivative.
    want = math.erf(0.5 / (sigma * math.sqrt(2)))
    assert steepness(grey.round().astype(np.uint8)) == pytest.approx(want, rel=0.1)


def test_steepness_of_pictures_without_edges():
    slope = np.tile(np.linspace(0, 255, 400).astype(np.uint8), (60, 1))
    assert steepness(slope) == 0  # contrast that no edge has
    assert steepness(slope // 8) is None


def test_the_edges_of_bars_do_not_make_a_picture_sharp():
    blurred = np.stack([cv2.GaussianBlur(each, (0, 0), 4) for each in views("astronaut.png")])
    frames = barred(blurred, (0, 24, WIDTH, HEIGHT - 24), (0, 0, 0))
    (whole,) = Sharpness()([row(frames)])
    (inner,) = Sharpness()(Borders()([row(frames)]))
    assert inner["sharpness"] < whole["sharpness"] / 2


def test_dark_and_bright_are_shares_of_pixels():
    frames = np.full((3, 40, 60, 3), 128, np.uint8)
    frames[:, :10], frames[:, 30:] = 0, 255
    (found,) = Sharpness()([row(frames)])
    assert (found["dark"], found["bright"]) == (0.25, 0.25)


def signed(frames: np.ndarray, alpha: float) -> np.ndarray:
    """Frames with a translucent sign in a corner: light letters with a dark line around them."""
    sign = np.zeros(frames.shape[1:3], np.uint8)
    cv2.putText(sign, "TV5", (WIDTH - 90, 40), 0, 1.0, 255, 3, cv2.LINE_AA)
    around = cv2.dilate(sign, np.ones((7, 7), np.uint8))
    made = frames.astype(float)
    for colour, mask in ((20, around), (240, sign)):
        made += alpha * (mask / 255)[..., None] * (colour - made)
    return noisy(made)


@pytest.mark.parametrize("name", PHOTOS)
def test_a_sign_stands_still_over_a_moving_picture(name):
    frames = views(name, count=16, speed=(9.0, 4.0))
    scores = [Watermark().score(each) for each in (frames, signed(frames, 0.7), signed(frames, 1))]
    assert scores[0] < 0.05 < min(scores[1:])


def test_before_a_still_camera_nothing_can_be_said():
    frames = np.repeat(photo("coffee.png")[None, :HEIGHT, :WIDTH], 16, axis=0)
    row = {"mid_frames": signed(frames, 1), "camera_motion": 0.2}
    (found,) = Watermark()([row])
    assert found["watermark"] is None
