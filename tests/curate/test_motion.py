# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Motion: known shifts, and camera against object."""

import cv2
import numpy as np
import pytest

from mugv_jax.curate.stages.motion import REFERENCE_PX, Motion, background_flow
from mugv_jax.video.optical_flow import dis_flow
from tests.curate.photos import HEIGHT, WIDTH, panned, photo, steps

SCALE = REFERENCE_PX / WIDTH
NOISE = 1.5  # of 255, as codecs leave it
SHIFT_ERROR = 0.05  # of the mean length; docs/curation.md has the table
RADIUS = 30


def pairs(camera: float, thing: float) -> np.ndarray:
    """Three pairs (3 2 h w 3): a camera that pans and a disc that moves, in pixels per frame."""
    rng = np.random.default_rng(0)
    ground, cut = photo("coffee.png", 640), photo("astronaut.png", 2 * RADIUS)
    mask = np.zeros(cut.shape[:2], np.float32)
    cv2.circle(mask, (RADIUS, RADIUS), RADIUS - 2, 1.0, -1, cv2.LINE_AA)
    made = []
    for i in range(3):
        frames = panned(ground, steps(2, (camera, 0.3 * camera)) + 20 * i, (WIDTH, HEIGHT))
        for k, frame in enumerate(frames if thing else ()):
            place = np.array([[1, 0, 60 + 70 * i + thing * k], [0, 1, 40 + 20 * i]], float)
            alpha = cv2.warpAffine(mask, place, (WIDTH, HEIGHT))[..., None]
            drawn = cv2.warpAffine(cut, place, (WIDTH, HEIGHT))
            frame[:] = (alpha * drawn + (1 - alpha) * frame).astype(np.uint8)
        made.append(frames)
    errors = rng.normal(0, NOISE, (3, 2, HEIGHT, WIDTH, 3))
    return np.clip(np.stack(made) + errors, 0, 255).astype(np.uint8)


def measured(frames: np.ndarray) -> dict:
    (found,) = Motion()([{"pair_frames": frames}])
    return found


@pytest.mark.parametrize("shift", [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0])
def test_a_known_shift_is_measured(shift):
    a, b = panned(photo("coffee.png", 640), steps(2, (0.8 * shift, 0.6 * shift)), (456, 256))
    flow = dis_flow(a, b)
    assert np.linalg.norm(flow, axis=-1).mean() == pytest.approx(shift, rel=SHIFT_ERROR, abs=0.05)
    assert np.median(flow, axis=(0, 1)) == pytest.approx([-0.8 * shift, -0.6 * shift], abs=0.15)


def test_noise_is_no_motion():
    found = measured(pairs(0, 0))
    assert found["motion"] < 0.3
    assert found["camera_motion"] < 0.3
    assert found["foreground_share"] == 0


def test_a_camera_has_no_foreground():
    found = measured(pairs(3.0, 0))
    length = 3.0 * np.hypot(1, 0.3) * SCALE
    assert found["motion"] == pytest.approx(length, rel=0.05)
    assert found["camera_motion"] == pytest.approx(length, rel=0.05)
    assert found["foreground_share"] < 0.005


def test_an_object_moves_before_a_still_camera():
    found = measured(pairs(0, 4.0))
    assert found["camera_motion"] < 0.3
    assert found["foreground_motion"] == pytest.approx(4.0 * SCALE, rel=0.1)
    area = np.pi * RADIUS**2 / (WIDTH * HEIGHT)
    assert found["foreground_share"] == pytest.approx(area, rel=0.5)


def test_camera_and_object_are_told_apart():
    found = measured(pairs(-3.0, 4.0))  # the ground moves by 3 to the right, and 0.9 down
    assert found["camera_motion"] == pytest.approx(3 * np.hypot(1, 0.3) * SCALE, rel=0.1)
    assert found["foreground_motion"] == pytest.approx(np.hypot(1, 0.9) * SCALE, rel=0.3)
    assert found["foreground_share"] > 0.015


def test_a_dark_object_moves_as_a_bright_one_does():
    found = measured((pairs(0, 4.0) * 0.25).astype(np.uint8))
    assert found["foreground_share"] > 0.015


def test_a_caption_before_a_moving_camera_is_no_object():
    frames = pairs(3.0, 0)
    for frame in frames.reshape(-1, HEIGHT, WIDTH, 3):
        for colour, thick in (((0, 0, 0), 4), ((255, 255, 255), 1)):
            cv2.putText(frame, "what did you say?", (40, 160), 0, 0.8, colour, thick, cv2.LINE_AA)
    assert measured(frames)["foreground_share"] < 0.01


def test_bars_are_left_out():
    frames = pairs(3.0, 0)
    frames[:, :, :30], frames[:, :, -30:] = 0, 0
    row = {"pair_frames": frames, "width_px": 1280, "height_px": 720}
    (whole,) = Motion()([row])
    (inner,) = Motion()([{**row, "content_box": [0, 120, 1280, 600]}])
    length = 3.0 * np.hypot(1, 0.3) * SCALE
    assert inner["motion"] == pytest.approx(length, rel=0.05)
    assert whole["motion"] < inner["motion"]


def test_background_of_a_flow_with_an_object():
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    zoom = np.stack([0.02 * (x - WIDTH / 2), 0.02 * (y - HEIGHT / 2)], -1)
    flow = zoom.copy()
    flow[40:120, 60:160] += np.array([5, -3], np.float32)
    np.testing.assert_allclose(background_flow(flow, 0.5), zoom, atol=0.02)


@pytest.mark.parametrize("settings", [{"flow": "farneback"}, {"flow": "raft"},
                                      {"raft_weights": "raft.pth"}])  # fmt: skip
def test_settings_that_do_not_fit_are_refused(settings):
    with pytest.raises(ValueError, match="flow="):
        Motion(**settings)
