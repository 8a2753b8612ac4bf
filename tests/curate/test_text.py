# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Writing in the picture, found by the detector and recogniser of RapidOCR."""

import pickle

import cv2
import numpy as np
import pytest

from mugv_jax.curate.stages.text import Text, _is_word, _subtitle_top
from tests.curate.photos import HEIGHT, WIDTH, views


@pytest.fixture(scope="module")
def stage() -> Text:
    return Text()


def written(frames: np.ndarray, text: str, places: list[tuple[int, int]]) -> np.ndarray:
    """Frames with white words at a place in each: the left end of their baseline."""
    made = frames.copy()
    for frame, place in zip(made, places, strict=True):
        for colour, thick in (((0, 0, 0), 4), ((255, 255, 255), 1)):
            cv2.putText(frame, text, place, 0, 0.6, colour, thick, cv2.LINE_AA)
    return made


def measured(stage: Text, frames: np.ndarray) -> dict:
    (found,) = stage([{"key_frames": frames, "height_px": 4 * HEIGHT}])
    return found


def test_a_photograph_has_no_text(stage):
    found = measured(stage, views("coffee.png"))
    assert (found["text_share"], found["text_overlay"], found["text_lines"]) == (0, 0, 0)
    assert found["text"] == []
    assert found["subtitle_top_px"] is None


def test_a_subtitle_is_found_and_read(stage):
    frames = written(views("coffee.png"), "what did you say?", [(60, 165)] * 3)
    found = measured(stage, frames)
    assert found["text_lines"] == 1
    assert 0.03 < found["text_share"] < 0.12
    assert found["text_overlay"] == found["text_share"]
    assert any("did you" in line for line in found["text"])
    # In pixels of the video; letters are 13 pixels high here.
    assert 4 * 140 < found["subtitle_top_px"] < 4 * 153


def test_words_that_move_are_no_overlay(stage):
    found = measured(stage, written(views("coffee.png"), "EXIT 42 B",
                                    [(20, 60), (80, 90), (150, 120)]))  # fmt: skip
    assert found["text_share"] > 0.015
    assert found["text_overlay"] == 0
    assert found["subtitle_top_px"] is None


def box(top: float, bottom: float) -> np.ndarray:
    return np.array([[50, top], [WIDTH - 50, top], [WIDTH - 50, bottom], [50, bottom]], float)


def test_a_subtitle_of_two_lines_ends_where_one_of_one_does():
    one, two = [box(155, 170)], [box(136, 151), box(155, 170)]
    assert _subtitle_top([one, two, []], HEIGHT) == 136
    assert _subtitle_top([one, [], []], HEIGHT) is None  # in most frames, or it is none
    assert _subtitle_top([one, [box(130, 145)], one], HEIGHT) is None


@pytest.mark.parametrize(("word", "is_one"), [("TV5", True), ("0000", False), (":::", False),
                                              ("0:", False), ("字幕", True)])  # fmt: skip
def test_words_have_two_different_letters(word, is_one):
    assert _is_word(word) == is_one


def test_the_stage_travels_to_other_processes_before_its_model_is_loaded():
    assert pickle.loads(pickle.dumps(Text())) == Text()
