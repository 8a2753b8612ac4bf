# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from mugv_jax.demo.world.clips import DemoClips
from mugv_jax.demo.world.reading import read
from mugv_jax.demo.world.scene import WORLDS, Format

CLIPS = 60
FIELDS = ("shape", "colour", "motion")
NOISE = 6.0  # of 255: about 32 dB
REVERSED = {"left": "right", "up": "down", "grow": "shrink"}
REVERSED |= {after: before for before, after in REVERSED.items()}


@pytest.fixture(scope="module")
def clips():
    return list(map(DemoClips(split="train", count=CLIPS, seed=7).__getitem__, range(CLIPS)))


def wrong(clips, change=lambda video: video):
    """Wrong readings: number of the clip, field, reading and truth."""
    found = []
    for number, clip in enumerate(clips):
        reading = read(change(clip.video))
        for field in FIELDS:
            got = reading and getattr(reading, field)
            if not got or got.name != clip.attributes[field]:
                found.append((number, field, got, clip.attributes[field]))
            else:
                assert 0 <= got.confidence <= 1
    return found


def degrade(video):
    """The video slightly blurred, with the noise of a lossy reconstruction."""
    blurred = video.astype(np.float32)
    for axis in (1, 2):
        edge = [(0, 0)] * 4
        edge[axis] = (1, 1)
        padded = np.pad(blurred, edge, mode="edge")
        before, here, after = (
            np.take(padded, range(start, start + video.shape[axis]), axis) for start in range(3)
        )
        blurred = (before + 2 * here + after) / 4
    noise = np.random.default_rng(0).normal(0, NOISE, video.shape)
    return np.clip(blurred + noise + 0.5, 0, 255).astype(np.uint8)


def test_rendered_clips_are_read_right(clips):
    assert not wrong(clips)
    assert any(clip.attributes["second_shape"] for clip in clips)


def test_clips_are_read_right_despite_blur_and_noise(clips):
    assert not wrong(clips, degrade)


@pytest.mark.parametrize("split", ["validation", "unseen"])
def test_the_small_world_is_read_right_despite_blur_and_noise(split):
    clips = DemoClips(split=split, count=30, seed=1, world=WORLDS["small"])
    assert not wrong(map(clips.__getitem__, range(30)), degrade)


@pytest.mark.parametrize("format", [Format(height_px=96, width_px=80, frames=9), Format(frames=25)])
def test_other_formats_are_read_as_well(format):
    clips = DemoClips(split="unseen", count=16, seed=3, format=format)
    assert not wrong(map(clips.__getitem__, range(16)))


def test_reversed_and_mirrored_clips_have_opposite_motions(clips):
    for clip in clips[:24]:
        motion = clip.attributes["motion"]
        assert read(clip.video[::-1]).motion.name == REVERSED.get(motion, motion)
        sideways = REVERSED[motion] if motion in ("left", "right") else motion
        assert read(clip.video[:, :, ::-1]).motion.name == sideways


def test_confidence_falls_where_two_answers_fit(clips):
    clip = next(clip for clip in clips if clip.attributes["motion"] == "left")
    frozen = np.repeat(clip.video[:1], len(clip.video), axis=0)
    assert read(frozen).motion.name == "still"
    between = np.concatenate([clip.video[:7], np.repeat(clip.video[6:7], 10, axis=0)])
    assert read(between).motion.confidence < read(clip.video).motion.confidence


def test_clips_that_show_no_object_are_not_read(clips):
    video = clips[0].video
    grey = np.broadcast_to(video.mean(axis=-1, keepdims=True), video.shape).astype(np.uint8)
    assert read(grey) is None
    mostly = np.concatenate([video[:7], grey[7:]])
    assert read(mostly) is None
    partly = read(np.concatenate([video[:12], grey[12:]]))
    assert partly.colour.name == clips[0].attributes["colour"]
