# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""One file gives the same pixels, whichever part of the package reads it."""

import logging

import numpy as np
import pytest

from mugv_jax import video
from mugv_jax.data.clips import ClipRule, read_clip
from mugv_jax.systems.mugv.request import Request, read_given
from mugv_jax.systems.mugv.size import VideoSize
from tests.video.made import patches, tagged, write_frames

HLG = 18
MIRRORED = [-1 << 16, 0, 0, 0, 1 << 16, 0, 64 << 16, 0, 1 << 30]


def request(height, width, **given):
    size = VideoSize(width_px=width, height_px=height, frames=16)
    return Request(prompts=("a boat",), size=size, fps=25, **given)


def by_image(path, height, width):
    (given,) = read_given(request(height, width, keyframes={8: path}))
    return given.images[1][0]


def by_init_video(path, height, width):
    (given,) = read_given(request(height, width, init_video=path))
    return given.init[0]


def by_clip(path, height, width):
    return read_clip(path, ClipRule(size=(width, height), max_frames=1)).frames[0]


def by_stream(path, height, width):
    with video.open_frames(path) as stream:
        return video.fit(next(stream.frames), height, width)


def write(path, kind, count):
    if kind == "transparent":
        rgba = np.dstack([patches(), np.full((48, 64), 77, np.uint8)])
        return write_frames(path, [tagged(rgba, "bgra")] * count, "ffv1")
    hdr = {"matrix": 9, "primaries": 9, "transfer": HLG} if kind == "HDR" else {"matrix": 1}
    frames = [tagged(patches(), "yuv420p10le" if kind == "HDR" else "yuv420p", **hdr)] * count
    options = {"mirrored": {"matrix": MIRRORED}, "squeezed": {"pixel_aspect": 2}}.get(kind, {})
    return write_frames(path, frames, **options)


@pytest.mark.parametrize("kind", ["HDR", "transparent", "mirrored", "squeezed"])
def test_every_reader_gives_the_same_pixels(kind, tmp_path, caplog):
    one, several = (write(tmp_path / f"{count}.mkv", kind, count) for count in (1, 16))
    (expected,) = video.read_video(one).frames
    height, width = expected.shape[:2]
    assert (height, width) == (48, 128 if kind == "squeezed" else 64)
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        for path, reader in [
            (one, by_image),
            (one, by_clip),
            (several, by_clip),
            (several, by_init_video),
            *([] if kind == "squeezed" else [(several, by_stream)]),  # which keeps their shape
        ]:
            np.testing.assert_array_equal(reader(path, height, width), expected)
    notes = [each.getMessage() for each in caplog.records]
    assert len(notes) == (kind == "HDR")  # one for the second file, however often it is read
    assert all("is HDR (HLG): it is mapped to SDR" in note for note in notes)
