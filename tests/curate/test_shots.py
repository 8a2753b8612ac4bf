# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Shots: clips of a video file, whose frames follow each other without gaps."""

import itertools

import numpy as np
import pytest

from mugv_jax import video
from mugv_jax.curate.stages.shots import Shots
from tests.data.real_clips import real_clip

BIKES = real_clip("bikes.mp4")  # 250 frames, 25 a second
EDGES_OF_BIKES = [0, 30, 76, 137, 187, 242, 250]


def row(path=BIKES, fps=25.0, source=None) -> dict:
    return {"video": "bikes", "path": str(path), "fps": fps, "source": source}


def spans(rows) -> list[tuple[int, int]]:
    return [(round(each["start_s"] * 25), round(each["end_s"] * 25)) for each in rows]


def test_a_row_for_every_shot():
    """The last one is too short: it has 8 frames."""
    rows = Shots(neural=False)([row()])
    assert spans(rows) == [*itertools.pairwise(EDGES_OF_BIKES)][:-1]
    assert [each["frames"] for each in rows] == [30, 46, 61, 50, 55]
    assert [each["clip"] for each in rows] == [f"bikes_{i:05d}" for i in range(5)]
    assert [each["shot"] for each in rows] == [*range(5)]
    assert (rows[0]["before"], rows[1]["before"], rows[-1]["after"]) == ("start", "cut", "cut")


def test_long_shots_are_cut_into_even_pieces():
    rows = Shots(neural=False, max_clip_s=1.0, min_frames=8)([row()])
    assert spans(rows)[:4] == [(0, 15), (15, 30), (30, 53), (53, 76)]
    assert [(each["shot"], each["piece"]) for each in rows[:3]] == [(0, 0), (0, 1), (1, 0)]
    assert [each["after"] for each in rows[:2]] == ["piece", "cut"]
    assert max(each["seconds"] for each in rows) <= 1
    assert spans(rows)[-1] == (242, 250)
    assert rows[-1]["after"] == "end"


def test_thresholds_of_a_source_hold_for_its_videos_only():
    stage = Shots(neural=False, max_clip_s=None, sources={"films": {"change": 255.0}})
    assert spans(stage([row(source="films")])) == [(0, 250)]
    assert len(stage([row(source="phones")])) == 5


def test_times_are_those_of_the_file_if_frames_last_differently(tmp_path):
    """A clip is what a decoder that is given its times finds."""
    path = tmp_path / "slow.mp4"
    frames = video.read_video(BIKES).frames[:60, ::4, ::4]
    video.write_video(path, np.ascontiguousarray(frames), 12)
    rows = Shots(neural=False, max_clip_s=None)([row(path, fps=12.0)])
    assert [(each["start_s"], each["end_s"]) for each in rows] == [(0, 2.5), (2.5, 5)]
    with video.decoding(path, start_s=rows[1]["start_s"], end_s=rows[1]["end_s"]) as (_, shown, _):
        assert sum(1 for _ in shown) == rows[1]["frames"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_clip_s": 0.0}, "max_clip_s=0.0 must be above 0"),
        ({"min_frames": 1}, "min_frames=1 must be at least 2"),
        ({"rules": {"ration": 3.0}}, "rules: ration is no threshold"),
        ({"sources": {"films": {"cuts": 0.5}}}, "films: cuts is no threshold"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Shots(**settings)


def test_a_video_without_a_long_enough_shot_is_refused():
    with pytest.raises(ValueError, match="has no shot of 100 frames"):
        Shots(neural=False, min_frames=100)([row()])
