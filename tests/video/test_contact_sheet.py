# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from PIL import Image

from mugv_jax.video.contact_sheet import GAP_PX, sheet_row, write_contact_sheet


@pytest.fixture
def clip():
    return np.random.default_rng(0).integers(0, 256, (17, 48, 64, 3), np.uint8)


def test_small_frames_are_enlarged_pixel_by_pixel(clip, tmp_path):
    other = clip[::-1]
    path = tmp_path / "new" / "sheet.png"
    write_contact_sheet(path, [sheet_row(clip, 5), sheet_row(other, 5)])
    sheet = np.asarray(Image.open(path))
    assert sheet.shape == (2 * 144 + GAP_PX, 5 * 192 + 4 * GAP_PX, 3)
    for row, frames in enumerate((clip, other)):
        for column, index in enumerate((0, 4, 8, 12, 16)):
            y, x = row * (144 + GAP_PX), column * (192 + GAP_PX)
            shown = sheet[y : y + 144, x : x + 192]
            for dy, dx in np.ndindex(3, 3):
                np.testing.assert_array_equal(shown[dy::3, dx::3], frames[index])
    assert (sheet[144 : 144 + GAP_PX] == 255).all()
    assert (sheet[:, 192 : 192 + GAP_PX] == 255).all()
    assert [file.name for file in path.parent.iterdir()] == ["sheet.png"]


def test_large_frames_are_reduced_to_means():
    frame = np.zeros((1, 720, 1280, 3), np.uint8)
    frame[0, 4:8, :4] = (40, 80, 120)  # one square of 4 x 4
    frame[0, :4, 4:6] = 100  # half of another
    row = sheet_row(frame)
    assert row.shape == (180, 320, 3)
    np.testing.assert_array_equal(row[1, 0], (40, 80, 120))
    np.testing.assert_array_equal(row[0, 1], 50)
    assert row.sum(dtype=int) == 240 + 150


def test_a_short_video_is_shown_whole(clip):
    assert sheet_row(clip[:2]).shape == (144, 2 * 192 + GAP_PX, 3)
    with pytest.raises(ValueError, match="no frames"):
        sheet_row(clip[:0])


def test_a_failed_write_keeps_what_was_there(clip, tmp_path, monkeypatch):
    path = tmp_path / "sheet.png"
    path.write_bytes(b"the older sheet")

    def failing(_, name, **options):
        name.write_bytes(b"half a")
        raise OSError(28, f"No space left on device ({options})")

    monkeypatch.setattr(Image.Image, "save", failing)
    with pytest.raises(OSError, match="No space"):
        write_contact_sheet(path, [sheet_row(clip)])
    assert path.read_bytes() == b"the older sheet"
    assert [file.name for file in tmp_path.iterdir()] == ["sheet.png"]
    with pytest.raises(ValueError, match=r"must end in \.png"):
        write_contact_sheet(tmp_path / "sheet.jpg", [sheet_row(clip)])
