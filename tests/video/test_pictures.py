# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import struct
import zlib

import av
import numpy as np
import pytest
from PIL import Image

from mugv_jax import video
from tests.video.made import tagged, write_frames

PQ, HLG = 16, 18


def saved(path, image: Image.Image, **options):
    image.save(path, **options)
    return path


def claim_size(path, width, height):
    """Writes another size into the header of a PNG file."""
    content = bytearray(path.read_bytes())
    struct.pack_into(">II", content, 16, width, height)
    struct.pack_into(">I", content, 29, zlib.crc32(content[12:29]))
    path.write_bytes(content)


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
    for name, size in (("huge.png", (16_000, 10_000)), ("bomb.png", (20_000, 20_000))):
        claim_size(saved(tmp_path / name, Image.fromarray(photo)), *size)
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


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi"])
def test_a_video_of_one_frame_is_a_picture(suffix, photo, tmp_path):
    path = tmp_path / f"clip{suffix}"
    codec = "mpeg4" if suffix == ".avi" else "libx264"
    one = tagged(photo, "yuv420p")
    write_frames(path, [one], codec)
    (frame,) = video.read_video(path).frames
    np.testing.assert_array_equal(video.read_image(path), frame)
    write_frames(path, [one] * 2, codec)
    with pytest.raises(ValueError, match=r"clip.* is a video with several frames: save the one"):
        video.read_image(path)
    with av.open(path, "w") as container:
        streams = [container.add_stream(codec, rate=25) for _ in range(2)]
        for stream in streams:
            stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for stream in streams:
            container.mux([*stream.encode(one), *stream.encode()])
    with pytest.raises(ValueError, match="is a video with several tracks of pictures"):
        video.read_image(path)
    write_frames(path, [tagged(photo[:14], "yuv420p")], codec)
    with pytest.raises(ValueError, match="is 160x14 pixels: at least 16"):
        video.read_image(path)


@pytest.mark.parametrize("transfer", [PQ, HLG])
@pytest.mark.parametrize("suffix", [".avif", ".png"])
def test_hdr_pictures_become_sdr(suffix, transfer, tmp_path, caplog):
    path = tmp_path / f"white{suffix}"
    white = {PQ: 148, HLG: 191}[transfer]  # 203 nits
    grey = np.full((48, 64, 3), white, np.uint8)
    if suffix == ".png":
        saved(path, Image.fromarray(grey))
        chunk = b"cICP" + bytes([9, transfer, 0, 1])
        content = path.read_bytes()
        size, checksum = struct.pack(">I", 4), struct.pack(">I", zlib.crc32(chunk))
        path.write_bytes(content[:33] + size + chunk + checksum + content[33:])
    else:
        tags = {"matrix": 9, "primaries": 9, "transfer": transfer}
        write_frames(path, [tagged(grey, "yuv420p10le", **tags)], "libsvtav1")
    np.testing.assert_allclose(video.read_image(path), 230, atol=2)
    (note,) = [each.getMessage() for each in caplog.records]
    assert note.startswith(f"{str(path)!r} is HDR")
