# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import itertools
import struct
import sys
import zlib

import av
import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageCms, features

from mugv_jax import video
from tests.video.made import tagged, write_frames
from tests.video.profiles import (
    ADOBE_GAMMA,
    ADOBE_XY,
    P3_XY,
    SRGB_XY,
    grey_profile,
    in_srgb,
    ink_profile,
    lab_in_srgb,
    matrix_profile,
    srgb_levels,
)

# Pixels and the tables of a colour management system are of 8 bits: two roundings.
PROFILE_LEVELS = 2


def png_header(width, height) -> bytes:
    """The beginning of a file of 8-bit RGB."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    check = struct.pack(">I", zlib.crc32(header))
    return b"\x89PNG\r\n\x1a\n\0\0\0\x0d" + header + check + b"\0\0\0\x01IDAT"


PQ, HLG = 16, 18


def saved(path, image: Image.Image, **options):
    image.save(path, **options)
    return path


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif", ".jpg"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_honoured(orientation, suffix, tmp_path):
    quarters = np.zeros((32, 48, 3), np.uint8)  # flat blocks: JPEG keeps them nearly
    quarters[:16, :16], quarters[:16, 16:], quarters[16:, :16] = 250, 130, 60
    upright = {
        1: quarters,
        2: quarters[:, ::-1],
        3: quarters[::-1, ::-1],
        4: quarters[::-1],
        5: quarters.swapaxes(0, 1),
        6: np.rot90(quarters, -1),
        7: quarters[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(quarters),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if suffix == ".webp" else {}
    path = saved(tmp_path / f"turned{suffix}", Image.fromarray(quarters), exif=exif, **options)
    read = video.read_image(path)
    np.testing.assert_allclose(read, upright, atol=2 if suffix == ".jpg" else 0)


def test_damaged_exif_data_is_ignored_with_a_word(photo, tmp_path, caplog):
    noise = b"Exif\0\0no exif data here"
    path = saved(tmp_path / "noise.png", Image.fromarray(photo), exif=noise)
    np.testing.assert_array_equal(video.read_image(path), photo)
    assert "noise.png': its EXIF data is damaged" in caplog.text
    # An orientation of 6 and a number that is a text: only the latter is damaged.
    tags = struct.pack("<HHHII", 2, 0x112, 3, 1, 6) + struct.pack("<HHI4s", 0x100, 2, 4, b"abc")
    exif = b"Exif\0\0II*\0\x08\0\0\0" + tags + bytes(4)
    path = saved(tmp_path / "text.png", Image.fromarray(photo), exif=exif)
    np.testing.assert_array_equal(video.read_image(path), np.rot90(photo, -1))


def test_alpha_is_flattened_onto_white(photo, tmp_path):
    alpha = np.zeros(photo.shape[:2], np.uint8)
    alpha[:, 80:] = 255
    image = Image.fromarray(np.dstack([photo, alpha]))
    flat = video.read_image(saved(tmp_path / "alpha.png", image))
    assert (flat[:, :80] == 255).all()
    np.testing.assert_array_equal(flat[:, 80:], photo[:, 80:])


SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.mark.parametrize("profile", [None, SRGB, matrix_profile(SRGB_XY)], ids=["-", "lcms", "own"])
@pytest.mark.parametrize("mode", ["RGB", "L", "LA", "P", "CMYK", "1"])
def test_other_colour_modes_become_rgb(mode, profile, photo, tmp_path):
    """The values are those that Pillow converts to, also where the file says that they are sRGB."""
    image = Image.fromarray(photo).convert(mode)
    path = tmp_path / ("picture.tif" if mode == "CMYK" else "picture.png")
    path = saved(path, image, icc_profile=profile)
    np.testing.assert_array_equal(video.read_image(path), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("transparency", [7, bytes([255, 0, 128])], ids=["colour", "alpha"])
def test_palettes_may_be_transparent(transparency, tmp_path):
    indices = np.arange(48 * 32, dtype=np.uint8).reshape(32, 48) % 9
    palette = np.random.default_rng(0).integers(0, 256, (256, 3), np.uint8)
    image = Image.fromarray(indices)
    image.putpalette(palette.tobytes())
    path = saved(tmp_path / "palette.png", image, transparency=transparency)
    alpha = np.full(256, 255)
    if isinstance(transparency, int):
        alpha[transparency] = 0
    else:
        alpha[:3] = list(transparency)
    colours = np.rint(255 + (palette.astype(float) - 255) * alpha[:, None] / 255)
    np.testing.assert_allclose(video.read_image(path), colours[indices], atol=1)


DISPLAYS = {
    "Display P3": (P3_XY, None),
    "Adobe RGB": (ADOBE_XY, ADOBE_GAMMA),
    "linear": (P3_XY, 1.0),
}


@pytest.mark.parametrize("display", DISPLAYS)
@pytest.mark.parametrize("kind", ["RGB.png", "RGB.tif", "RGB.webp", "RGBA.png", "P.png", "L.png"])
def test_colours_of_a_profile_are_converted_to_srgb(display, kind, tmp_path):
    primaries, gamma = DISPLAYS[display]
    mode = kind.split(".")[0]
    patches = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    image = Image.fromarray(patches).convert(mode)
    options = {"lossless": True} if kind.endswith("webp") else {}
    path = tmp_path / kind
    saved(path, image, icc_profile=matrix_profile(primaries, gamma), **options)
    expected = in_srgb(np.asarray(image.convert("RGB")), primaries, gamma)
    np.testing.assert_allclose(video.read_image(path), expected, atol=PROFILE_LEVELS)
    np.testing.assert_array_equal(video.to_rgb(Image.open(path)), video.read_image(path))
    changed = np.abs(expected - image.convert("RGB")).max()
    assert changed > 4 if kind != "L.png" or gamma else changed < 1  # grey has one curve alone


@pytest.mark.parametrize("gamma", [1.0, 1.8])
def test_grey_profiles_and_transparency_go_together(gamma, tmp_path):
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    alpha = np.where(np.arange(16) < 8, 255, 0).astype(np.uint8)
    both = np.dstack([grey, np.broadcast_to(alpha, grey.shape)])
    image = Image.fromarray(both, "LA")
    path = saved(tmp_path / "grey.png", image, icc_profile=grey_profile(gamma))
    expected = srgb_levels((grey / 255) ** (round(gamma * 256) / 256))
    expected[:, 8:] = 255
    np.testing.assert_allclose(video.read_image(path)[..., 1], expected, atol=PROFILE_LEVELS)


@pytest.mark.parametrize("suffix", [".tif", ".jpg"])
def test_inks_are_converted_by_their_profile(suffix, tmp_path):
    inks = np.array(list(itertools.product((0, 255), repeat=4)), np.uint8)
    rng = np.random.default_rng(0)
    lab = np.column_stack([100 - 20 * (inks > 0) @ (1, 1, 1, 2), *rng.integers(-12, 13, (2, 16))])
    lab[0], lab[-1] = (100, 0, 0), 0
    lab[:, 0] = lab[:, 0].clip(0)
    stored = np.rint(lab * (2.55, 1, 1)) / (2.55, 1, 1)  # as a profile of 8 bits has them
    patches = inks.repeat(16, 0)[:, None].repeat(16, 1)
    image = Image.fromarray(patches, "CMYK")
    options = {"quality": 100, "subsampling": 0} if suffix == ".jpg" else {}
    path = tmp_path / f"inks{suffix}"
    saved(path, image, icc_profile=ink_profile(lab), **options)
    expected = lab_in_srgb(stored).repeat(16, 0)[:, None].repeat(16, 1)
    np.testing.assert_allclose(video.read_image(path), expected, atol=PROFILE_LEVELS)


@pytest.mark.parametrize(
    ("profile", "reason"),
    [
        (b"no profile" * 20, "cannot be used"),
        (matrix_profile(P3_XY)[:400], "cannot be used"),
        (grey_profile(2.2), "describes L pixels, but they are RGB"),
        (ink_profile(np.zeros((16, 3))), "describes CMYK pixels, but they are RGB"),
    ],
    ids=["rubbish", "cut off", "grey", "inks"],
)
def test_a_profile_that_cannot_be_used_is_ignored_with_a_word(
    profile, reason, photo, tmp_path, caplog
):
    path = saved(tmp_path / "broken.png", Image.fromarray(photo), icc_profile=profile)
    np.testing.assert_array_equal(video.read_image(path), photo)
    (message,) = caplog.messages
    assert f"image '{path}': its colour profile {reason}" in message
    assert message.endswith("is ignored.")


def test_lab_is_converted_without_a_profile(tmp_path):
    lab = Image.new("LAB", (16, 16), (140, 128 + 10, 128 - 20))
    expected = lab_in_srgb(np.array([140 / 2.55, 10, -20]))
    read = video.read_image(saved(tmp_path / "lab.tif", lab))
    np.testing.assert_allclose(read, np.broadcast_to(expected, read.shape), atol=PROFILE_LEVELS)


def test_the_content_of_a_file_counts_and_not_its_suffix(photo, tmp_path):
    image = Image.fromarray(photo)
    for suffix, kind in ((".jpg", "PNG"), (".png", "WEBP"), (".mp4", "TIFF"), ("", "BMP")):
        path = tmp_path / f"picture{suffix}"
        image.save(path, format=kind, **({"lossless": True} if kind == "WEBP" else {}))
        assert video.is_picture(path)
        np.testing.assert_array_equal(video.read_image(path), photo)
    video.write_video(tmp_path / "clip.mp4", photo[None], 24)
    assert not video.is_picture((tmp_path / "clip.mp4").rename(tmp_path / "clip.jpg"))


def test_avif_is_read_and_heic_says_what_it_needs(photo, tmp_path, monkeypatch):
    path = saved(tmp_path / "a.avif", Image.fromarray(photo), quality=100, subsampling="4:4:4")
    np.testing.assert_allclose(video.read_image(path), photo, atol=4)
    start = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"
    (tmp_path / "phone.jpg").write_bytes(start + bytes(200))
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(ValueError, match=r"phone.jpg' .* pillow-heif: pip install pillow-heif\.$"):
        video.read_image(tmp_path / "phone.jpg")
    monkeypatch.setattr(features, "check", lambda _: False)
    with pytest.raises(ValueError, match=r"built without AVIF: pip install"):
        video.read_image(path)


def with_code_points(path, patches, primaries, transfer):
    """A picture that states code points: lossless PNG, or AVIF."""
    kind = path.suffix[1:]
    options = {"quality": 100, "subsampling": "4:4:4"} if kind == "avif" else {}
    content = saved(path, Image.fromarray(patches), **options).read_bytes()
    if kind == "avif":
        at = content.index(b"colrnclx") + 8
        content = content[:at] + struct.pack(">HH", primaries, transfer) + content[at + 4 :]
    else:
        chunk = b"cICP" + bytes([primaries, transfer, 0, 1])
        content = content[:33] + struct.pack(">I", 4) + chunk + (
            struct.pack(">I", zlib.crc32(chunk)) + content[33:]
        )  # fmt: skip
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("suffix", ["png", "avif"])
def test_colours_of_code_points_are_converted(suffix, tmp_path):
    patches = np.random.default_rng(0).integers(60, 200, (32, 32, 3), np.uint8)
    patches = patches[::16, ::16].repeat(16, 0).repeat(16, 1)
    path = tmp_path / f"wide.{suffix}"
    plain = video.read_image(with_code_points(path, patches, 1, 13)).astype(int)
    np.testing.assert_allclose(plain, patches, atol=0 if suffix == "png" else 3)
    read = video.read_image(with_code_points(path, patches, 12, 13))
    np.testing.assert_allclose(read, in_srgb(plain, P3_XY), atol=1)


def test_heic_is_read_with_its_profile(tmp_path):
    smooth = (
        np.linspace((90, 100, 110), (160, 170, 200), 64 * 48).reshape(48, 64, 3).astype(np.uint8)
    )
    made = pillow_heif.from_pillow(Image.fromarray(smooth))
    made.info["icc_profile"], made.info["icc_profile_type"] = matrix_profile(P3_XY), "prof"
    made.save(tmp_path / "phone.heic", quality=-1)
    read = video.read_image(tmp_path / "phone.heic")
    np.testing.assert_allclose(read, in_srgb(smooth, P3_XY), atol=PROFILE_LEVELS + 1)


def test_unusable_images_are_refused_in_one_line(photo, tmp_path):
    whole = saved(tmp_path / "whole.jpg", Image.fromarray(photo))
    (tmp_path / "truncated.jpg").write_bytes(whole.read_bytes()[:2000])
    (tmp_path / "text.png").write_text("no picture")
    saved(tmp_path / "dot.png", Image.new("RGB", (1, 1)))
    (tmp_path / "huge.png").write_bytes(png_header(16_000, 10_000))
    (tmp_path / "bomb.png").write_bytes(png_header(20_000, 20_000))
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
