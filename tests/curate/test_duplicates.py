# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Near duplicates: what keypoints confirm and refute."""

import cv2
import numpy as np
import pytest

from mugv_jax.curate.duplicates import NEAR, DuplicateConfig, mark_duplicates
from mugv_jax.curate.stages.keypoints import POINT, Keypoints, agreeing, mirrored
from mugv_jax.curate.stages.signature import Signature
from tests.curate.photos import photo

HEIGHT, WIDTH = 180, 320
ENOUGH = DuplicateConfig().keypoints


def clip(name: str, picture: np.ndarray, frames: int = 4) -> dict:
    """Row of a clip that shows one picture (h w 3)."""
    shown = np.repeat(cv2.resize(picture, (WIDTH, HEIGHT))[None], frames, 0)
    row = {
        "clip": name, "digest": name, "start_s": 0.0, "frames": frames, "fps": 24.0,
        "width_px": WIDTH, "height_px": HEIGHT, "small_frames": shown, "key_frames": shown[:2],
    }  # fmt: skip
    (row,) = Keypoints()(Signature()([row]))
    return row


def disc(seed: int) -> np.ndarray:
    """A smooth disc on black with fine lines of its own: another picture of the same layout."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    round_ = np.clip(1.2 - np.hypot(y - 90, x - 160) / 80, 0, 1)[..., None]
    made = round_ * np.array([200.0, 110, 60])
    for _ in range(30):
        a, b = rng.integers([100, 30], [220, 150], (2, 2)).tolist()
        cv2.line(made, a, b, (120, 40, 20), 1, cv2.LINE_AA)
    return made.astype(np.uint8)


CHANGES = {
    "crop": lambda each: each[20:, 40:],
    "mirrored": lambda each: each[:, ::-1],
    "darker": lambda each: (each * 0.6).astype(np.uint8),
    "smaller": lambda each: cv2.resize(each, (WIDTH // 2, HEIGHT // 2)),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("name", ["astronaut.png", "coffee.png"])
def test_keypoints_agree_after(name, change):
    picture = cv2.resize(photo(name), (WIDTH, HEIGHT))
    a, b = clip("a", picture), clip("b", change(picture))
    assert agreeing(a["keypoints"], b["keypoints"]) >= 2 * ENOUGH


def test_keypoints_of_different_pictures_do_not_agree():
    found = [clip(name, photo(name))["keypoints"] for name in ("astronaut.png", "coffee.png")]
    assert agreeing(*found) < ENOUGH
    assert agreeing(clip("black", np.zeros((9, 9, 3), np.uint8))["keypoints"], found[0]) == 0


def test_mirrored_descriptors_are_those_of_the_mirrored_picture():
    picture = cv2.resize(photo("astronaut.png"), (WIDTH, HEIGHT))
    a, b = (
        np.frombuffer(clip("a", each)["keypoints"], POINT) for each in (picture, picture[:, ::-1])
    )
    turned = mirrored(a)
    turned["x"] += (WIDTH - 1) / HEIGHT
    far = np.hypot(*(turned[axis][:, None] - b[axis][None] for axis in ("x", "y")))
    difference = np.abs(
        turned["descriptor"][:, None].astype(float) - b["descriptor"][None].astype(float)
    ).mean((-3, -2, -1))
    best = np.where(far < 0.01, difference, np.inf).min(1)
    assert np.median(best) < 4  # of 255; two directions may count as the same
    assert np.median(difference) > 20


def test_a_pair_with_one_layout_needs_keypoints_that_agree():
    rows = [clip("a", disc(0)), clip("b", disc(1)), clip("c", disc(0)[8:-8, 14:-14])]
    known = {row["clip"]: row.pop("keypoints") for row in rows}
    config = DuplicateConfig(sure=1.0, same=1.0)
    alike = mark_duplicates(rows, config)
    assert {row["group"] for row in alike} == {alike[0]["group"]} != {None}
    asked = []

    def read(names):
        asked.append(set(names))
        return known

    apart = {row["clip"]: row for row in mark_duplicates(rows, config, read)}
    assert asked == [{"a", "b", "c"}]
    assert apart["b"]["group"] is None
    assert apart["a"]["group"] == apart["c"]["group"] != None  # noqa: E711
    assert {apart["a"]["duplicate_kind"], apart["c"]["duplicate_kind"]} == {NEAR, None}


def test_similar_enough_pairs_and_clips_without_keypoints_are_not_refuted():
    rows = [clip("a", disc(0)), clip("b", disc(1))]
    for row in rows:
        del row["keypoints"]
    loose = DuplicateConfig(sure=0.82, same=1.0)
    assert mark_duplicates(rows, loose, lambda _: pytest.fail("asked"))[0]["group"]
    assert mark_duplicates(rows, DuplicateConfig(same=1.0), lambda _: {})[0]["group"]
