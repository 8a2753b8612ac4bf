# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from mugv_jax import video
from mugv_jax.eval.pairs import FileFrames, pair_up
from tests.eval.videos import frames, write


def test_pairs_have_one_name_size_and_length(tmp_path):
    a, b = tmp_path / "a", tmp_path / "b"
    for name in ("x", "sub/y"):
        write(a / f"{name}.mp4")
        write(b / f"{name}.mkv")
    write(a / "lonely.mp4")
    write(b / "other.mp4")
    write(a / "size.mp4")
    write(b / "size.mp4", frames(9, (64, 32)))
    write(a / "length.mp4")
    write(b / "length.mp4", frames(7))
    write(a / "broken.mp4")
    (b / "broken.mp4").write_text("no video")
    write(a / "twice.mp4")
    write(b / "twice.mp4")
    write(b / "twice.mov")
    pairs, bad = pair_up(a, b)
    assert [(pair.name, pair.size, pair.count) for pair in pairs] == [
        ("sub/y", (48, 32), 9), ("x", (48, 32), 9)
    ]  # fmt: skip
    broken, length, lonely, other, size, twice = bad
    assert broken.startswith("broken: video")
    assert length == "length: the lengths differ, 9 and 7 frames."
    assert lonely == f"{a / 'lonely.mp4'}: has no partner in {b}."
    assert other == f"{b / 'other.mp4'}: has no partner in {a}."
    assert size == "size: the sizes differ, 48x32 and 64x32 pixels."
    assert twice.startswith("twice.mov and twice.mp4 have one name")


def test_frames_of_a_file_can_be_gone_through_twice(tmp_path):
    path = write(tmp_path / "a.mp4")
    whole = video.read_video(path).frames
    each = FileFrames(path, 9)
    for _ in range(2):
        np.testing.assert_array_equal(np.stack(list(each)), whole)
    some = FileFrames(path, 9, size=(24, 16), most=5)
    assert np.stack(list(some)).shape == (5, 16, 24, 3)
    assert (len(each), len(some)) == (9, 5)


def test_what_is_no_folder_of_videos_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    write(tmp_path / "good" / "a.mp4")
    for name, reason in (("none", "does not exist"), ("file", "is a file"), ("empty", "no videos")):
        with pytest.raises(ValueError, match=reason):
            pair_up(tmp_path / "good", tmp_path / name)
