# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import collections
import dataclasses

import numpy as np
import pytest

from mugv_jax.demo.world.captions import MOTION_PHRASES, caption
from mugv_jax.demo.world.clips import DemoClips
from mugv_jax.demo.world.faults import FAULTS
from mugv_jax.demo.world.physics import find_fault
from mugv_jax.demo.world.render import render
from mugv_jax.demo.world.scene import WORLDS, Format, draw
from tests.demo.world.test_reading import degrade

FAULTY = WORLDS["faulty"]
COUNT = 240


@pytest.fixture(scope="module")
def scenes():
    return [draw("train", number, seed=4, world=FAULTY) for number in range(COUNT)]


@pytest.mark.parametrize("change", [lambda video: video, degrade])
def test_every_error_is_found_and_named(scenes, change):
    found = collections.Counter()
    for scene in scenes:
        kind = scene.fault.kind if scene.fault else ""
        found[kind, find_fault(change(render(scene)))] += 1
    right = sum(count for (kind, named), count in found.items() if kind == named)
    assert right >= 0.99 * COUNT, found
    assert {kind for kind, _ in found} == {"", *FAULTS}


def test_errors_come_in_their_shares(scenes):
    wrong = np.mean([scene.told != scene.motion for scene in scenes])
    faulty = np.mean([scene.fault is not None for scene in scenes])
    assert abs(wrong - 0.25) < 0.09  # three standard deviations
    assert abs(faulty - 0.25) < 0.09
    assert not any(scene.fault and scene.told != scene.motion for scene in scenes)


def test_a_wrong_caption_names_another_motion_and_nothing_else(scenes):
    for scene in scenes[:60]:
        words = caption(scene)
        assert any(phrase in words for phrase in MOTION_PHRASES[scene.told])
        right = caption(dataclasses.replace(scene, told=scene.motion))
        assert (words == right) == (scene.told == scene.motion)


@pytest.mark.parametrize("format", [Format(height_px=96, width_px=80, frames=25), Format(fps=24)])
def test_other_formats_have_the_same_errors(format):
    clips = DemoClips(split="unseen", count=48, seed=2, format=format, world=WORLDS["errors"])
    for clip in map(clips.__getitem__, range(48)):
        assert find_fault(clip.video) == clip.attributes["fault"]


def test_worlds_without_errors_are_what_they_were():
    with_errors = draw("train", 5, seed=1, world=FAULTY)
    without = draw("train", 5, seed=1, world=WORLDS["small"])
    assert without.fault is None
    assert without.told == without.motion
    assert (without.main, without.backdrop) == (with_errors.main, with_errors.backdrop)


def test_a_clip_without_an_object_has_lost_it():
    assert find_fault(np.full((17, 64, 64, 3), 128, np.uint8)) == "vanish"


@pytest.mark.parametrize("shares", [{"wrong_captions": 0.6, "faulty": 0.5}, {"faulty": 1.5}])
def test_impossible_shares_are_refused(shares):
    with pytest.raises(ValueError, match=r"must (not exceed|lie in)"):
        dataclasses.replace(FAULTY, **shares)
