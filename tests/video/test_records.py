# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Records survive in every container, change no frame, and are not trusted when they are read."""

import json

import av
import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from mugv_jax import video
from mugv_jax.video import contact_sheet, records

FRAMES = np.random.default_rng(0).integers(0, 256, (3, 32, 48, 3), np.uint8)
RECORD = {"prompt": 'ein "rötes" Boot\n船; a=b # c', "seed": 7, "made_by": "mugv_jax 1"}


@pytest.mark.parametrize("suffix", video.CONTAINERS)
def test_a_record_comes_back_and_changes_no_frame(suffix, tmp_path):
    traced, plain = tmp_path / f"traced{suffix}", tmp_path / f"plain{suffix}"
    video.Video(FRAMES, 8, RECORD).save(traced)
    video.Video(FRAMES, 8).save(plain)
    assert video.read_record(traced) == RECORD
    assert video.read_record(plain) is None
    read, without = video.read_video(traced), video.read_video(plain)
    assert (read.frames.shape, read.fps) == (without.frames.shape, without.fps)
    with av.open(str(traced)) as one, av.open(str(plain)) as other:
        streams = [(each.width, each.height, each.average_rate) for each in
                   (one.streams.video[0], other.streams.video[0])]  # fmt: skip
        tags = {name.lower(): text for name, text in one.metadata.items()}
    assert streams[0] == streams[1]
    assert json.loads(tags["mugv_jax"]) == RECORD
    assert tags["comment"].startswith('ein "rötes" Boot')
    assert "seed 7" in tags["comment"]


def test_a_video_unpacks_without_its_record():
    frames, fps = video.Video(FRAMES, 8, RECORD)
    assert (frames is FRAMES, fps) == (True, 8)
    assert video.Video(FRAMES, 8).record is None


def test_a_contact_sheet_has_the_records_of_its_videos(tmp_path):
    rows, both = [contact_sheet.sheet_row(FRAMES)], {"videos": [RECORD, RECORD]}
    contact_sheet.write_contact_sheet(tmp_path / "traced.png", rows, both)
    contact_sheet.write_contact_sheet(tmp_path / "plain.png", rows)
    assert video.read_record(tmp_path / "traced.png") == both
    assert video.read_record(tmp_path / "plain.png") is None
    np.testing.assert_array_equal(
        video.read_image(tmp_path / "traced.png"), video.read_image(tmp_path / "plain.png")
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no json", "its record: not JSON"),
        ("[1]", "must hold names and values in braces"),
        ('{"seed": NaN}', "NaN is no number of JSON"),
        ('{"seed": 1' + "0" * 30 + "}", "beyond 64 bits"),
        ('{"a":' * 70 + "1" + "}" * 70, "nested more than 64 deep"),
        ('{"prompt": "\\ud800"}', "is not valid UTF-8 text"),
        ('{"prompt": "' + "a" * records.MAX_BYTES + '"}', "its record has 1048590 characters"),
    ],
)
def test_broken_records_are_one_error(text, message, tmp_path):
    info = PngImagePlugin.PngInfo()
    info.add_itxt(records.KEY, text)
    path = tmp_path / "broken.png"
    Image.fromarray(FRAMES[0]).save(path, pnginfo=info)
    with pytest.raises(ValueError, match=message):
        video.read_record(path)


def test_a_file_that_is_no_video_is_an_error(tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(ValueError, match="damaged or no video"):
        video.read_record(tmp_path / "text.mp4")
    whole = tmp_path / "whole.png"
    Image.fromarray(FRAMES[0]).save(whole)
    (tmp_path / "cut.png").write_bytes(whole.read_bytes()[:40])
    with pytest.raises(ValueError, match="is damaged"):
        video.read_record(tmp_path / "cut.png")
