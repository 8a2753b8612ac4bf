# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import struct

import av
import numpy as np
import pytest
import skimage.data
from PIL import Image

from mugv_jax import video

# A small photograph full of edges keeps this much through 4:2:0 colour and x264 at crf 17.
PHOTO_PSNR_DB = 32
# A wrong colour matrix or range, or inexact conversion, shifts a mean by 1 to 20 levels.
MEAN_SHIFT_LEVELS = 0.5


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return np.asarray(Image.fromarray(skimage.data.astronaut()).resize((160, 120)))


@pytest.fixture(scope="module")
def clip(photo) -> np.ndarray:
    return np.stack([np.roll(photo, 2 * i, axis=1) for i in range(10)])


def psnr_db(a: np.ndarray, b: np.ndarray) -> float:
    return 10 * np.log10(255**2 / np.mean(np.square(a.astype(np.float64) - b)))


def saved(path, image: Image.Image, **options):
    image.save(path, **options)
    return path


def test_exif_orientation_is_honoured(photo, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: turn by a quarter clockwise
    path = saved(tmp_path / "turned.png", Image.fromarray(photo), exif=exif)
    np.testing.assert_array_equal(video.read_image(path), np.rot90(photo, -1))


def test_alpha_is_flattened_onto_white(photo, tmp_path):
    alpha = np.zeros(photo.shape[:2], np.uint8)
    alpha[:, 80:] = 255
    image = Image.fromarray(np.dstack([photo, alpha]))
    flat = video.read_image(saved(tmp_path / "alpha.png", image))
    assert (flat[:, :80] == 255).all()
    np.testing.assert_array_equal(flat[:, 80:], photo[:, 80:])


@pytest.mark.parametrize("mode", ["L", "LA", "P", "CMYK", "1"])
def test_other_colour_modes_become_rgb(mode, photo, tmp_path):
    image = Image.fromarray(photo).convert(mode)
    path = saved(tmp_path / ("picture.tif" if mode == "CMYK" else "picture.png"), image)
    np.testing.assert_array_equal(video.read_image(path), np.asarray(image.convert("RGB")))


def test_sixteen_bit_grey_keeps_its_range(photo, tmp_path):
    grey = photo[..., 0]
    path = saved(tmp_path / "deep.png", Image.fromarray(grey.astype(np.uint16) * 257))
    np.testing.assert_array_equal(video.read_image(path), np.dstack([grey] * 3))


def test_unusable_images_are_refused_in_one_line(photo, tmp_path):
    whole = saved(tmp_path / "whole.jpg", Image.fromarray(photo))
    (tmp_path / "truncated.jpg").write_bytes(whole.read_bytes()[:2000])
    (tmp_path / "text.png").write_text("no picture")
    saved(tmp_path / "dot.png", Image.new("RGB", (1, 1)))
    saved(tmp_path / "huge.png", Image.new("1", (16_000, 10_000)))
    saved(tmp_path / "bomb.png", Image.new("1", (20_000, 20_000)))
    reasons = {
        "missing.png": "does not exist",
        ".": "is a folder",
        "truncated.jpg": "is damaged: image file is truncated",
        "text.png": "cannot be opened",
        "dot.png": "is 1x1 pixels: at least 16",
        "huge.png": "16000x10000 pixels: at most 150 million",
        "bomb.png": "cannot be opened: Image size",
    }
    for name, reason in reasons.items():
        with pytest.raises(ValueError, match=reason) as caught:
            video.read_image(tmp_path / name)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("height", "width", "covering", "top", "left"),
    # By hand from round(): (120, 160) scaled by the larger ratio, half of the overhang cut off.
    [
        (64, 64, (64, 85), 0, 10),
        (48, 96, (72, 96), 12, 0),
        (60, 80, (60, 80), 0, 0),
        (121, 77, (121, 161), 0, 42),
    ],
)
def test_fit_covers_then_crops_the_centre(photo, height, width, covering, top, left):
    scaled = Image.fromarray(photo).resize(covering[::-1], Image.Resampling.BICUBIC)
    expected = np.asarray(scaled)[top : top + height, left : left + width]
    np.testing.assert_array_equal(video.fit(photo, height, width), expected)
    two = video.fit(np.stack([photo, photo[:, ::-1]]), height, width)
    np.testing.assert_array_equal(two[0], expected)


def test_fit_refuses_a_strip_that_would_be_blown_up():
    strip = np.zeros((16, 4000, 3), np.uint8)
    with pytest.raises(ValueError, match="4000x16 pixels is too long and narrow"):
        video.fit(strip, 1280, 720)
    with pytest.raises(ValueError, match="must be positive"):
        video.fit(strip, 0, 720)


def test_frames_and_pixels_are_inverse():
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, axis=-1)
    pixels = video.to_pixels(levels)
    assert pixels.dtype == np.float32
    assert (pixels.min(), pixels.max()) == (-1, 1)
    np.testing.assert_array_equal(video.to_frames(pixels), levels)
    np.testing.assert_array_equal(video.to_frames(pixels * 1.5).ravel()[[0, -1]], [0, 255])
    with pytest.raises(ValueError, match="hold NaN"):
        video.to_frames(np.full((1, 2, 2, 3), np.nan, np.float32))


@pytest.mark.parametrize("suffix", video.CONTAINERS)
def test_a_written_video_comes_back_in_its_own_colours(suffix, clip, tmp_path):
    path = tmp_path / "new" / "folder" / f"clip{suffix}"
    video.Video(clip, 29.97).save(path)
    frames, fps = video.read_video(path)
    assert frames.shape == clip.shape
    assert fps == pytest.approx(29.97)
    assert psnr_db(frames, clip) > PHOTO_PSNR_DB
    assert np.abs(frames.mean((0, 1, 2)) - clip.mean((0, 1, 2))).max() < MEAN_SHIFT_LEVELS
    with av.open(path) as container:
        context = container.streams.video[0].codec_context
        assert context.pix_fmt == "yuv420p"
        # BT.709 matrix, primaries and transfer; limited range.
        assert (context.colorspace, context.color_primaries, context.color_trc) == (1, 1, 1)
        assert context.color_range == 1


def test_chunks_of_odd_frames_make_one_video(clip, tmp_path):
    odd = clip[:, :119, :159]
    video.write_video(tmp_path / "odd.mp4", (odd[i : i + 3] for i in range(0, 10, 3)), 8)
    frames, _ = video.read_video(tmp_path / "odd.mp4")
    assert frames.shape == (10, 120, 160, 3)
    assert psnr_db(frames[:, :119, :159], odd) > PHOTO_PSNR_DB


def test_only_the_first_or_last_frames_are_read(clip, tmp_path):
    path = tmp_path / "clip.mp4"
    video.write_video(path, clip, 20)
    whole, _ = video.read_video(path)
    np.testing.assert_array_equal(video.read_video(path, max_frames=3).frames, whole[:3])
    last = video.read_video(path, max_frames=3, from_end=True)
    np.testing.assert_array_equal(last.frames, whole[-3:])
    with pytest.raises(ValueError, match="max_frames=0"):
        video.read_video(path, max_frames=0)


def test_rotation_in_the_file_is_honoured(clip, tmp_path):
    path = tmp_path / "clip.mp4"
    video.write_video(path, clip, 20)
    upright, _ = video.read_video(path)
    content = bytearray(path.read_bytes())
    matrix = content.find(b"tkhd") + 44  # version 0 of the track header
    quarter_clockwise = (0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)
    content[matrix : matrix + 36] = struct.pack(">9i", *quarter_clockwise)
    path.write_bytes(content)
    turned, _ = video.read_video(path)
    np.testing.assert_array_equal(turned, np.rot90(upright, -1, axes=(1, 2)))


def test_unreadable_videos_are_refused(clip, tmp_path):
    whole = tmp_path / "clip.mp4"
    video.write_video(whole, clip, 20)
    (tmp_path / "truncated.mp4").write_bytes(whole.read_bytes()[:3000])
    (tmp_path / "empty.mp4").touch()
    for name in ("truncated.mp4", "empty.mp4"):
        with pytest.raises(ValueError, match="is damaged or no video"):
            video.read_video(tmp_path / name)
    with pytest.raises(ValueError, match="does not exist"):
        video.read_video(tmp_path / "missing.mp4")


@pytest.mark.parametrize("failure", [KeyboardInterrupt, OSError])
def test_an_interrupted_write_keeps_what_was_there(failure, clip, tmp_path):
    def interrupted():
        yield clip[:5]
        raise failure

    path = tmp_path / "clip.mp4"
    path.write_bytes(b"the older video")
    with pytest.raises(failure):
        video.write_video(path, interrupted(), 20)
    assert path.read_bytes() == b"the older video"
    assert [entry.name for entry in tmp_path.iterdir()] == ["clip.mp4"]


def test_unusable_outputs_are_refused_before_anything_is_written(clip, tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(ValueError, match=r"must end in \.mp4, \.mov, \.mkv"):
        video.prepare_output(tmp_path / "clip.avi")
    with pytest.raises(ValueError, match="is a folder"):
        video.prepare_output(tmp_path / "folder.mp4")
    with pytest.raises(ValueError, match="cannot be written"):
        video.prepare_output(tmp_path / "file" / "clip.mp4")
    path = tmp_path / "clip.mp4"
    for frames, fps, crf, reason in [
        (clip[:0], 20, 17, "no frames"),
        (iter(()), 20, 17, "no frames"),
        (clip.astype(np.float32), 20, 17, "must be uint8"),
        (iter([clip, clip[:, :64]]), 20, 17, "follow frames of"),
        (clip, 0, 17, "fps=0"),
        (clip, float("nan"), 17, "fps=nan"),
        (clip, 20, 52, "crf=52"),
    ]:
        with pytest.raises(ValueError, match=reason):
            video.write_video(path, frames, fps, crf=crf)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "folder.mp4"]
