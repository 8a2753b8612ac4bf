# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""A real clip in each codec and container that PyAV writes here: read, written, read again."""

import itertools
from fractions import Fraction

import av
import einops
import numpy as np
import pytest
from av.codec import Codec

from mugv_jax import video
from tests.data.real_clips import real_clip
from tests.video.test_sound import audio_packets, heard

FRAMES, FPS, RATE_HZ, SIZE = 6, 25, 48_000, (176, 144)
# Each codec in one of its containers.
CODECS = {
    "mkv": "libx264 libx265 libvpx libvpx-vp9 libsvtav1 ffv1 mpeg4 mpeg2video mpeg1video msmpeg4 "
    "snow prores_ks libx264rgb",
    "mov": "mjpeg prores prores_aw cfhd cinepak dpx dxv gif h263 jpeg2000 magicyuv png qtrle r10k "
    "r210 rpza sgi svq1 targa tiff v210 v308 v408 v410 avrp y41p yuv4",
    "avi": "amv asv1 asv2 cljr ffvhuff flashsv flv h261 h263p huffyuv jpegls msmpeg4v2 msvideo1 "
    "rawvideo speedhq utvideo wmv1 wmv2 zlib",
}
# Each container with a usual pair of codecs. Sound is copied if players know it in the new file.
CONTAINERS = {
    "mp4": "libx264 aac",
    "mov": "libx264 pcm_s16le",
    "mkv": "libx265 flac",
    "webm": "libvpx-vp9 libopus",
    "avi": "mpeg4 pcm_s16le",
    "ts": "mpeg2video mp2",
    "mpg": "mpeg1video mp2",
    "flv": "flv libmp3lame",
    "wmv": "wmv2 libmp3lame",
    "3gp": "h263 aac",
    "mxf": "mpeg2video pcm_s16le",
    "nut": "ffv1 pcm_s16le",
    "m4v": "mpeg4 aac",
}
MUXERS = {"mpg": "vob", "wmv": "asf", "3gp": "3gp", "m4v": "mp4"}
USUAL = ("yuv420p", "yuvj420p", "rgb24")
BLOCK_LEVELS = 6
WIDE = {"h263", "h263p"}  # of pixels 12:11, as their standard has them
PACKET = 1152  # samples of sound; not every container can mark an encoder's delay as such


@pytest.fixture(scope="module")
def clip():
    with video.open_frames(real_clip("bikes.mp4")) as stream:
        shown = itertools.islice(stream.frames, FRAMES)
        return [video.fit(frame, *SIZE[::-1]) for frame in shown]


def write(path, clip, codec, sound=None):
    """Writes the clip, and with `sound` a tone of the same length."""
    suffix = path.suffix[1:]
    with av.open(path, "w", format=MUXERS.get(suffix)) as container:
        stream = container.add_stream(codec, rate=FPS, options={"strict": "unofficial"})
        stream.width, stream.height = SIZE
        formats = [each.name for each in Codec(codec, "w").video_formats or ()]
        usual = [each for each in USUAL if each in formats or not formats]
        stream.pix_fmt = (usual or formats)[0]
        tone = container.add_stream(sound, rate=RATE_HZ, bit_rate=128_000) if sound else None
        for number, pixels in enumerate(clip):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if tone is not None:
            wave = np.sin(np.arange(FRAMES * RATE_HZ // FPS) / 9).astype(np.float32)
            sample = av.AudioFrame.from_ndarray(np.stack([wave, wave]), "fltp", "stereo")
            sample.sample_rate, sample.pts = RATE_HZ, 0
            container.mux(tone.encode(sample))
            container.mux(tone.encode())
    return path


def contents(path):
    """Number, rate, size, aspect and mean colours of the frames of a file."""
    with video.open_frames(path) as stream:
        assert stream.resampled is None
        frames = np.stack(list(stream.frames))
        return (len(frames), stream.fps, stream.size, stream.pixel_aspect), frames


def blocks(frames):
    """Means of 16x16 pixels, which the noise of coarse codecs hardly changes."""
    return einops.reduce(frames.astype(float), "f (h 16) (w 16) c -> f h w c", "mean")


def rewrite(path, target):
    with video.open_frames(path) as stream:
        kept = {"audio_from": path, "pixel_aspect": stream.pixel_aspect}
        with video.writing(target, stream.fps, **kept) as write_chunk:
            for frame in stream.frames:
                write_chunk(frame[None])


@pytest.mark.parametrize(
    ("suffix", "codec"), [(s, c) for s, names in CODECS.items() for c in names.split()]
)
def test_every_codec_comes_back(suffix, codec, clip, tmp_path):
    path = write(tmp_path / f"in.{suffix}", clip, codec)
    facts, frames = contents(path)
    assert facts == (FRAMES, FPS, SIZE, Fraction(12, 11) if codec in WIDE else 1)
    assert np.abs(blocks(frames) - blocks(np.stack(clip))).mean() < BLOCK_LEVELS
    rewrite(path, tmp_path / "out.mp4")
    again, written = contents(tmp_path / "out.mp4")
    assert again == facts
    assert np.abs(blocks(written) - blocks(frames)).mean() < BLOCK_LEVELS


@pytest.mark.parametrize("target", video.CONTAINERS)
@pytest.mark.parametrize("suffix", CONTAINERS)
def test_every_container_comes_back_with_its_sound(suffix, target, clip, tmp_path):
    codec, sound = CONTAINERS[suffix].split()
    path = write(tmp_path / f"in.{suffix}", clip, codec, sound)
    target = tmp_path / f"out{target}"
    rewrite(path, target)
    assert contents(target)[0] == contents(path)[0]
    was, now = heard(path), heard(target)
    if now.codec == was.codec:
        assert b"".join(audio_packets(target)) == b"".join(audio_packets(path))
    else:
        assert now.codec == "aac"
    assert now.start == pytest.approx(was.start, abs=PACKET / RATE_HZ)
    assert now.samples == pytest.approx(was.samples, abs=PACKET)
