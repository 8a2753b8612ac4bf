# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import pytest

from mugv_jax.eval.answers import Answers, changes

ABOUT = {"settings": {"frames": 9, "sides": (1, 2)}}


@pytest.fixture
def path(tmp_path):
    kept = Answers(tmp_path / "new" / "row.jsonl", ABOUT)
    for number in range(3):
        kept.add({"clip": f"b{number} ä", "psnr": number})
    return tmp_path / "new" / "row.jsonl"


def test_answers_are_read_back(path):
    assert [each["psnr"] for each in Answers(path, ABOUT).lines] == [0, 1, 2]
    assert Answers(path, ABOUT).lines[0]["clip"] == "b0 ä"


def test_a_line_that_a_killed_process_left_unfinished_is_dropped(path):
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    kept = Answers(path, ABOUT)
    assert [each["psnr"] for each in kept.lines] == [0, 1]
    kept.add({"clip": "b2 ä", "psnr": 2})
    assert path.read_bytes() == whole


def test_another_measurement_is_refused(path):
    with pytest.raises(ValueError, match=r"another measurement \(settings.frames=9, now 17\)"):
        Answers(path, {"settings": {"frames": 17, "sides": [1, 2]}})


@pytest.mark.parametrize("content", [b"", b"\n", b"[]\n", b"{\n", b"\xff\n"])
def test_a_damaged_file_is_named(tmp_path, content):
    path = tmp_path / "row.jsonl"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"row.jsonl is damaged .*: delete it"):
        Answers(path, ABOUT)


def test_changes_are_named_by_their_place():
    before = {"a": {"b": 1, "c": [1]}, "d": 2}
    assert changes(before, before) == []
    assert changes(before, {"a": {"b": 1, "c": [2]}}) == ["a.c=[1], now [2]", "d=2, now None"]
