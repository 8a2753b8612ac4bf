# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Colours of files, against swscale told the matrix and range, and BT.2390 in float64 for HDR."""

import itertools
import logging

import numpy as np
import pytest
from av.video.reformatter import ColorRange
from PIL import Image

from mugv_jax import video
from mugv_jax.video.colour import EXACT_COLOUR
from tests.video.made import patches, tagged, write_frames

MATRICES = {"BT.601": 5, "BT.709": 1, "BT.2020": 9}
BT2020, PQ, HLG = 9, 16, 18
SDR_LEVELS, HDR_LEVELS = 1.5, 2.0  # of 255
RGB = patches()
PIXELS = {8: "yuv444p", 10: "yuv444p10le"}


def stored_rgb(frame, matrix, full):
    """R'G'B' in [0, 1] and float64 of a planar 4:4:4 frame (BT.601, BT.709, BT.2020; BT.2100)."""
    red, blue = {5: (0.299, 0.114), 1: (0.2126, 0.0722), 9: (0.2627, 0.0593)}[matrix]
    bits = 10 if "10" in frame.format.name else 8
    planes = [
        np.frombuffer(plane, np.uint16 if bits > 8 else np.uint8)
        .reshape(plane.height, -1)[:, : plane.width]
        .astype(np.float64)
        for plane in frame.planes
    ]
    unit = 2 ** (bits - 8)
    top = 2**bits - 1
    y = planes[0] / top if full else (planes[0] - 16 * unit) / (219 * unit)
    cb, cr = ((each - 128 * unit) / (top if full else 224 * unit) for each in planes[1:])
    r, b = y + 2 * (1 - red) * cr, y + 2 * (1 - blue) * cb
    g = (y - red * r - blue * b) / (1 - red - blue)
    return np.clip(np.stack([r, g, b], axis=-1), 0, 1)


def pq_nits(x):
    m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
    return 10_000 * (np.maximum(x ** (1 / m2) - c1, 0) / (c2 - c3 * x ** (1 / m2))) ** (1 / m1)


def pq_signal(nits):
    m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
    power = (nits / 10_000) ** m1
    return ((c1 + c2 * power) / (1 + c3 * power)) ** m2


def hlg_nits(x):
    """Light of a display of 1000 nits (BT.2100, table 5)."""
    scene = np.where(x <= 0.5, x**2 / 3, (np.exp((x - 0.55991073) / 0.17883277) + 0.28466892) / 12)
    luminance = scene @ [0.2627, 0.6780, 0.0593]
    return 1000 * luminance[..., None] ** 0.2 * scene


def mapped(nits):
    """The stated curve: BT.2390 on the largest component, 1000 to 203 nits, BT.709, BT.1886."""
    peak, largest = pq_signal(1000.0), pq_signal(203.0) / pq_signal(1000.0)
    knee = 1.5 * largest - 0.5
    most = np.maximum(nits.max(axis=-1, keepdims=True), 1e-9)
    signal = np.minimum(pq_signal(most) / peak, 1)
    t = (signal - knee) / (1 - knee)
    spline = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee)
    spline += (3 * t**2 - 2 * t**3) * largest
    nits = nits * pq_nits(np.where(signal < knee, signal, spline) * peak) / most
    to_709 = [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]]
    linear = np.clip(nits / 203 @ np.array(to_709).T, 0, 1)  # BT.2087
    return 255 * linear ** (1 / 2.4)


@pytest.mark.parametrize(
    ("bits", "matrix", "full", "transfer"),
    list(itertools.product(PIXELS, MATRICES, (False, True), (1, HLG, PQ))),
)
def test_every_kind_of_colour_is_read_as_it_is_told(bits, matrix, full, transfer, tmp_path):
    matrix = MATRICES[matrix]
    primaries = BT2020 if transfer != 1 or matrix == BT2020 else 1
    frame = tagged(
        RGB, PIXELS[bits], matrix=matrix, full=full, primaries=primaries, transfer=transfer
    )
    path = write_frames(tmp_path / "clip.mp4", [frame])
    (read,) = video.read_video(path).frames
    if transfer == 1:
        told = frame.reformat(
            format="rgb24",
            src_colorspace=matrix,
            src_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
            interpolation=EXACT_COLOUR,
        )
        assert np.abs(read - told.to_ndarray().astype(float)).mean() <= SDR_LEVELS
        assert np.abs(read - RGB.astype(float)).mean() <= SDR_LEVELS
    else:
        signal = stored_rgb(frame, matrix, full)
        expected = mapped(pq_nits(signal) if transfer == PQ else hlg_nits(signal))
        assert np.abs(read - expected).max() <= HDR_LEVELS


def test_the_diffuse_white_of_hdr_is_nearly_white_and_said_once(tmp_path, caplog):
    for transfer, white in ((HLG, 0.75), (PQ, 0.5807)):  # 203 nits, BT.2408 table 1
        grey = np.full((48, 64, 3), round(255 * white), np.uint8)
        frame = tagged(grey, "yuv420p10le", matrix=9, primaries=9, transfer=transfer)
        path = write_frames(tmp_path / f"{transfer}.mkv", [frame] * 3, "ffv1")
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            for _ in range(2):
                read = video.read_video(path).frames
            with video.open_frames(path) as stream:
                np.testing.assert_array_equal(np.stack(list(stream.frames)), read)
        np.testing.assert_allclose(read, 230, atol=1)
        (note,) = [each.getMessage() for each in caplog.records]
        name = {HLG: "HLG", PQ: "PQ"}[transfer]
        assert note == (
            f"{str(path)!r} is HDR ({name}): it is mapped to SDR (BT.709) by the curve of "
            "BT.2390, from 1000 to 203 nits."
        )


@pytest.mark.parametrize(
    ("primaries", "transfer", "matrix"),
    [(2, 2, 5), (1, 1, 1), (5, 6, 5), (9, 14, 9), (2, HLG, 9), (12, 2, 5)],
)
@pytest.mark.parametrize("untold", [2, 3])
def test_a_file_without_a_matrix_has_that_of_its_primaries(
    primaries, transfer, matrix, untold, tmp_path
):
    told = tagged(RGB, "yuv420p", matrix=matrix, primaries=primaries, transfer=transfer)
    paths = [tmp_path / "told.mkv", tmp_path / "untold.mkv"]
    for path, tag in zip(paths, (matrix, untold)):
        told.colorspace = tag
        write_frames(path, [told], "ffv1")
    expected, read = (video.read_video(path).frames for path in paths)
    np.testing.assert_array_equal(read, expected)


@pytest.mark.parametrize("matrix", [8, 10, 14])  # YCgCo, constant luminance, ICtCp
def test_colours_that_cannot_be_converted_are_refused(matrix, tmp_path):
    frame = tagged(RGB, "yuv444p", matrix=1)
    frame.colorspace = matrix
    path = write_frames(tmp_path / "clip.mkv", [frame], "ffv1")
    with pytest.raises(ValueError, match=rf"clip\.mkv.* matrix {matrix} of H\.273, .* in BT\.709"):
        video.read_video(path)


@pytest.mark.parametrize(
    ("suffix", "codec", "pix_fmt"),
    [
        (".mkv", "ffv1", "yuva420p"),
        (".mkv", "ffv1", "bgra"),
        (".mov", "prores_ks", "yuva444p10le"),
        (".mov", "qtrle", "argb"),
        (".mov", "png", "rgba"),
        (".webm", "libvpx-vp9", "yuva420p"),
    ],
)
def test_transparent_videos_and_pictures_are_flattened_alike(suffix, codec, pix_fmt, tmp_path):
    opacity = np.linspace(0, 255, 64).round().astype(np.uint8)
    rgba = np.dstack([RGB, np.broadcast_to(opacity, RGB.shape[:2])])
    Image.fromarray(rgba).save(tmp_path / "picture.png")
    frame = tagged(rgba, pix_fmt, matrix=1 if "yuv" in pix_fmt else 2)
    path = write_frames(tmp_path / f"clip{suffix}", [frame], codec)
    expected = video.read_image(tmp_path / "picture.png").astype(float)
    (read,) = video.read_video(path).frames
    assert (expected[:, 0] == 255).all()
    bound = 0 if codec in ("qtrle", "png") or pix_fmt == "bgra" else 6  # of subsampled colour
    assert np.abs(read - expected).mean() <= bound


def test_a_transparent_hdr_video_is_flattened_too(tmp_path):
    grey = np.full((48, 64, 4), 148, np.uint8)
    grey[:, :32, 3], grey[:, 32:, 3] = 0, 255
    frame = tagged(grey, "yuva444p10le", matrix=9, primaries=9, transfer=PQ)
    (read,) = video.read_video(write_frames(tmp_path / "clip.mkv", [frame], "ffv1")).frames
    assert (read[:, :32] == 255).all()
    np.testing.assert_allclose(read[:, 32:], 230, atol=1)
