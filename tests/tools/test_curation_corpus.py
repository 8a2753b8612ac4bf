# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The corpus with known truth: its files are what its truth says; and the score of a curation."""

import itertools
import json

import numpy as np
import pytest

from mugv_jax import video
from tools.curation.corpus import _join, make
from tools.curation.score import Tally, transitions
from tools.curation.shots import PHOTOS, REAL

CLIPS = 8
ENCODER = 2.0  # of 255: x264's assembly encodes smooth pictures differently in every run


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    return folder, make(folder, "tune", CLIPS)


def frames_of(folder, told) -> np.ndarray:
    return video.read_video(folder / "videos" / told["name"]).frames


def test_files_have_the_frames_that_the_truth_names(corpus):
    folder, truth = corpus
    assert json.loads((folder / "truth.json").read_text()) == truth
    for told in truth["videos"]:
        frames = frames_of(folder, told)
        assert frames.shape == (told["frames"], told["height"], told["width"], 3)
        edges = [0]
        for shot, after in itertools.zip_longest(told["shots"], told["transitions"]):
            assert shot["first"] == edges[-1]
            edges.append(after["end"] if after else told["frames"])
            assert shot["end"] == (after["first"] if after else told["frames"])
            assert shot["end"] - shot["first"] >= 9


def test_pictures_change_where_the_truth_says_cut(corpus):
    folder, truth = corpus
    count = 0
    for told in truth["videos"]:
        change = np.abs(np.diff(frames_of(folder, told).astype(np.int16), axis=0)).mean((1, 2, 3))
        for each in told["transitions"]:
            if each["kind"] == "cut":
                count += 1
                at = each["first"] - 1
                assert change[at] > 3 * max(change[at - 1], change[at + 1])
    assert count


def test_copies_show_what_they_copy(corpus):
    folder, truth = corpus
    by_name = {told["name"]: told for told in truth["videos"]}
    kinds = {told["copy"]["kind"]: told for told in truth["videos"] if told["copy"]}
    assert set(kinds) == {"exact", "reencoded", "near"}
    for kind, told in kinds.items():
        paths = [folder / "videos" / name for name in (told["name"], told["copy"]["of"])]
        contents = [path.read_bytes() for path in paths]
        assert (contents[0] == contents[1]) == (kind == "exact")
        assert told["shots"][0]["source"] == by_name[told["copy"]["of"]]["shots"][0]["source"]


def test_the_same_seed_makes_the_same_corpus(corpus, tmp_path):
    folder, truth = corpus
    assert make(tmp_path, "tune", CLIPS) == truth
    for told in truth["videos"]:
        paths = [each / "videos" / told["name"] for each in (folder, tmp_path)]
        a, b = (video.read_video(path).frames.astype(np.int16) for path in paths)
        assert np.abs(a - b).mean() < ENCODER


def test_splits_share_no_source():
    assert not set(PHOTOS["tune"]) & set(PHOTOS["held_out"])
    parts = [
        {(name, frame) for name, first, end in REAL[split] for frame in range(first, end)}
        for split in ("tune", "held_out")
    ]
    assert not parts[0] & parts[1]


@pytest.mark.parametrize("kind", ["cut", "fade", "dissolve"])
def test_frames_outside_of_a_transition_are_those_of_the_shots(kind):
    a, b = np.full((20, 2, 2, 3), 50, np.uint8), np.full((20, 2, 2, 3), 200, np.uint8)
    half = 0 if kind == "cut" else 4
    joint, begin, end = _join(a, b, kind, half, np.random.default_rng(0))
    assert (joint[:begin] == 50).all()
    assert (joint[end:] == 200).all()
    assert end - begin == 2 * half
    inside = joint[begin:end, 0, 0, 0].astype(int)
    if kind == "dissolve":
        assert (np.diff(inside) > 0).all()
        assert inside.min() > 50
        assert inside.max() < 200
    if kind == "fade":
        assert (np.diff(inside[:half]) < 0).all()
        assert (np.diff(inside[half:]) > 0).all()
        assert inside[half - 1] == inside[half] == 0


def clip(start_s: float, end_s: float, before: str) -> dict:
    return {"start_s": start_s, "end_s": end_s, "before": before}


def test_score_of_transitions():
    """Found: the cut, one frame late; the fade; a cut that is none. Not found: the dissolve."""
    told = {
        "name": "a.mp4",
        "fps": 10,
        "transitions": [
            {"kind": "cut", "first": 20, "end": 20},
            {"kind": "fade", "first": 50, "end": 60},
            {"kind": "dissolve", "first": 90, "end": 100},
        ],
    }
    clips = [clip(0, 2.1, "start"), clip(2.1, 3.5, "cut"), clip(3.5, 4.9, "piece"),
             clip(6.2, 7.5, "fade"), clip(7.5, 12, "cut")]  # fmt: skip
    tally = Tally()
    transitions(told, clips, tally)
    shares = {name: (tally.right[name], count) for name, count in tally.count.items()}
    assert shares == {
        "cut: recall": (1, 1), "cut: precision": (1, 2),
        "fade or dissolve: recall": (1, 2), "fade or dissolve: precision": (1, 1),
    }  # fmt: skip
