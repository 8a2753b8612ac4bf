# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from PIL import Image

from mugv_jax import video
from mugv_jax.eval.clips import ClipSettings, check_clip, list_clips, scaled_size
from mugv_jax.eval.reconstruction import check_clips
from tests.eval.videos import frames, write


@pytest.mark.parametrize(
    ("size", "resolution", "expected"),
    [
        ((1280, 720), 256, (448, 256)),
        ((720, 1280), 480, (480, 848)),
        ((640, 272), 256, (608, 256)),
        ((256, 256), 256, (256, 256)),
        ((257, 256), 256, (256, 256)),
    ],
)
def test_the_short_side_is_the_resolution_and_proportions_are_kept(size, resolution, expected):
    assert scaled_size(*size, resolution) == expected


def test_a_clip_is_read_at_the_resolutions_that_it_has(tmp_path):
    path = write(tmp_path / "a.mp4", frames(19, (64, 48)))
    settings = ClipSettings(resolutions=(32, 48, 64), frames=17)
    (clip,) = list_clips([path])
    checked = check_clip(clip, settings)
    assert (checked.width, checked.height, checked.resolutions) == (64, 48, (32, 48))
    whole = video.read_video(path).frames
    np.testing.assert_array_equal(checked.read(48, 17), whole[:17])
    assert checked.read(32, 49).shape == (17, 32, 48, 3)


def test_clips_of_folders_lists_and_files(tmp_path):
    for name in ("set/b.mp4", "set/a/c.mp4", "set/.hidden/d.mp4", "e.mp4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "list.csv").write_text("path,id\nset/b.mp4,1\ne.mp4,2\n")
    found = list_clips([tmp_path / "set", tmp_path / "list.csv", tmp_path / "e.mp4"])
    assert [clip.name for clip in found] == ["a/c.mp4", "b.mp4", "e.mp4"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty: it needs the column path"),
        ("path\n\n", "is empty"),
        ("name\na.mp4\n", "line 2: has no path"),
        ('path\na.mp4,"b"\n', "line 2: has 2 cells"),
    ],
)
def test_a_mistaken_list_is_refused(tmp_path, content, message):
    (tmp_path / "list.csv").write_text(content)
    with pytest.raises(ValueError, match=message):
        list_clips([tmp_path / "list.csv"])


def test_clips_that_cannot_be_measured_are_named(tmp_path):
    write(tmp_path / "short.mp4", frames(8))
    write(tmp_path / "good.mp4")
    (tmp_path / "text.mp4").write_text("no video")
    Image.new("RGB", (64, 64)).save(tmp_path / "picture.mp4", format="PNG")
    write(tmp_path / "small.mp4", frames(9, (32, 16)))
    good, bad = check_clips(list_clips([tmp_path]), ClipSettings(resolutions=(32,)))
    assert [each.clip.name for each in good] == ["good.mp4"]
    assert [line.partition(" ")[2][:40] for line in bad[1:3]] == [
        "has 8 frames: at least 9 are needed.", "has 32x16 pixels, less than 32p: nothing"
    ]  # fmt: skip
    assert "picture.mp4 is a picture" in bad[0]
    assert "text.mp4" in bad[3]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"resolutions": (250,)}, "resolution 250 must be a positive multiple of 16"),
        ({"resolutions": (0,)}, "resolution 0 must be"),
        ({"resolutions": ()}, "must be one or more, each once"),
        ({"resolutions": (256, 256)}, "must be one or more, each once"),
        ({"frames": 16}, "frames=16 must be 8k.1, such as 9"),
        ({"frames": 1}, "frames=1 must be at least 9"),
        ({"frames": 80001}, "max_frames=80001 must lie in"),
    ],
)
def test_settings_out_of_range_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        ClipSettings(**fields)
