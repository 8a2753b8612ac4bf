# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import itertools
import struct
from fractions import Fraction
from typing import NamedTuple

import av
import numpy as np
import pytest

from mugv_jax import video
from mugv_jax.video import sound
from tests.data.real_clips import real_clip

FPS = 25
RATE_HZ = 48_000
PACKET_S = 1024 / RATE_HZ  # of AAC, and of the tone below
CLOCK_S = 0.001  # Matroska's
BUNNY = real_clip("bigbuckbunny.mp4")  # AAC from its start to 5.312 s; 132 frames to 5.28 s


def frames(count):
    return np.full((count, 48, 64, 3), 128, np.uint8)


def with_sound(path, source, count=132, fps=FPS):
    """Writes `count` frames in chunks, and the audio of `source`."""
    with video.writing(path, fps, audio_from=source) as write:
        for first in range(0, count, 10):
            write(frames(min(10, count - first)))
    return path


def write_tone(
    path,
    codec="pcm_s16le",
    *,
    layout="stereo",
    count=25,
    packets=60,
    audio_s=0,
    video_s=0,
    hole_s=0,
):
    """Writes a video with a tone; both start at given times, and the tone pauses for `hole_s`."""
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        tone = container.add_stream(codec, rate=RATE_HZ)
        tone.codec_context.layout = layout
        wave = np.sin(np.arange(2048) / 20).astype(np.float32).reshape(1, -1)
        for number in range(packets):
            sample = av.AudioFrame.from_ndarray(wave, "flt")
            rest_s = hole_s if number >= packets // 2 else 0
            sample.pts = number * 1024 + round((audio_s + rest_s) * RATE_HZ)
            sample.sample_rate, sample.time_base = RATE_HZ, Fraction(1, RATE_HZ)
            container.mux(tone.encode(sample))
        for number, pixels in enumerate(frames(count)):
            frame = av.VideoFrame.from_ndarray(pixels)
            frame.pts, frame.time_base = number + round(video_s * FPS), Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        container.mux(tone.encode())
    return path


class Heard(NamedTuple):
    """Audio of a file: codec; start and end after the first frame, in s; samples."""

    codec: str
    start: float
    end: float
    samples: int


def heard(path):
    with av.open(path) as container:
        shown = next(container.decode(video=0)).time
    with av.open(path) as container:
        stream = container.streams.audio[0]
        codec = stream.codec_context.codec.canonical_name
        pieces = list(container.decode(stream))
    last = pieces[-1]
    end = last.time + last.samples / last.sample_rate
    return Heard(codec, pieces[0].time - shown, end - shown, sum(each.samples for each in pieces))


def audio_packets(path):
    with av.open(path) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


@pytest.mark.parametrize("suffix", video.CONTAINERS)
def test_audio_is_copied_packet_by_packet(suffix, tmp_path):
    path = with_sound(tmp_path / f"clip{suffix}", BUNNY)
    assert audio_packets(path) == audio_packets(BUNNY)
    was, now = heard(BUNNY), heard(path)
    assert now.codec == "aac"
    assert now.start == pytest.approx(was.start, abs=CLOCK_S)
    assert now.end == pytest.approx(was.end, abs=CLOCK_S)
    with video.open_frames(path) as stream:
        assert stream.fps == FPS
        assert sum(1 for _ in stream.frames) == 132


@pytest.mark.parametrize(
    ("codec", "suffix", "becomes"),
    [
        ("pcm_s16le", ".mp4", "aac"),
        ("pcm_s16le", ".mov", "pcm_s16le"),
        ("pcm_s16le", ".mkv", "pcm_s16le"),
        ("flac", ".mp4", "flac"),
        ("libopus", ".mov", "aac"),
        ("wavpack", ".mkv", "aac"),
    ],
)
def test_what_players_do_not_know_in_a_container_becomes_aac(codec, suffix, becomes, tmp_path):
    source = write_tone(tmp_path / "source.mkv", codec)
    was, now = heard(source), heard(with_sound(tmp_path / f"clip{suffix}", source, 25))
    assert now.codec == becomes
    assert now.start == pytest.approx(was.start, abs=PACKET_S)
    assert now.end == pytest.approx(was.end, abs=PACKET_S)
    assert now.samples == pytest.approx(was.samples, abs=1024)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("codec", ["aac", "pcm_s16le"])
@pytest.mark.parametrize(
    "times",
    [{"audio_s": 0.7}, {"video_s": 0.4}, {"audio_s": 40}, {"hole_s": 2}, {"packets": 500}],
    ids=str,
)
def test_audio_keeps_its_place_beside_the_video(times, codec, suffix, tmp_path):
    source = write_tone(tmp_path / "source.mkv", codec, **times)
    path = with_sound(tmp_path / f"clip{suffix}", source, 25)
    was, now = heard(source), heard(path)
    assert now.start == pytest.approx(was.start, abs=PACKET_S + CLOCK_S)
    assert now.end == pytest.approx(was.end, abs=PACKET_S + CLOCK_S)
    assert now.samples == pytest.approx(was.samples, abs=1024)
    with video.open_frames(path) as stream:
        assert (stream.fps, stream.resampled) == (FPS, None)
        assert sum(1 for _ in stream.frames) == 25


@pytest.mark.parametrize(
    ("rate_hz", "layout"), [(192_000, "7.1"), (11_025, "mono"), (8_000, "6.1")]
)
def test_rates_and_channels_that_aac_does_not_know_are_converted(rate_hz, layout, tmp_path):
    source = tmp_path / "source.mkv"
    with av.open(source, "w") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        tone = container.add_stream("pcm_s16le", rate=rate_hz)
        tone.codec_context.layout = layout
        container.mux(stream.encode(av.VideoFrame.from_ndarray(frames(1)[0])))
        wave = np.zeros((1, rate_hz * tone.codec_context.layout.nb_channels), np.int16)
        second = av.AudioFrame.from_ndarray(wave, "s16", layout)
        second.sample_rate = rate_hz
        container.mux([*tone.encode(second), *tone.encode(), *stream.encode()])
    now = heard(with_sound(tmp_path / "clip.mp4", source, 1))
    assert now.codec == "aac"
    assert now.end == pytest.approx(1, abs=2 * 1024 / min(rate_hz, RATE_HZ))


def test_audio_that_changes_its_channels_is_copied_or_refused(tmp_path):
    stereo = write_tone(tmp_path / "stereo.ts", "mp2", packets=46)
    mono = write_tone(tmp_path / "mono.ts", "mp2", layout="mono", audio_s=2, video_s=2)
    joined = tmp_path / "joined.ts"
    joined.write_bytes(stereo.read_bytes() + mono.read_bytes())
    copy = with_sound(tmp_path / "clip.mkv", joined, 50)
    assert audio_packets(copy) == audio_packets(joined)
    with pytest.raises(ValueError, match=r"joined.ts' changes its channels .* write \.mkv"):
        with_sound(tmp_path / "clip.mp4", joined, 50)


def test_what_is_shown_and_heard_at_a_time_lies_side_by_side(tmp_path):
    path = with_sound(tmp_path / "clip.mkv", BUNNY)
    with av.open(path) as container:
        times = [float(packet.dts * packet.time_base) for packet in container.demux() if packet.dts]
    assert len(times) > 300
    assert max(abs(after - before) for before, after in itertools.pairwise(times)) < 0.2


def test_audio_is_read_as_the_video_grows(tmp_path, monkeypatch):
    taken = []
    add_track = sound.add_track

    def counted(*args):
        for packet in add_track(*args):
            taken.append(packet.dts)
            yield packet

    monkeypatch.setattr(sound, "add_track", counted)
    with video.writing(tmp_path / "clip.mp4", FPS, audio_from=BUNNY) as write:
        for second in range(1, 4):
            write(frames(FPS))
            assert len(taken) == pytest.approx(second / PACKET_S, abs=2)
    assert len(taken) == 249


def test_a_video_without_audio_gives_none(tmp_path):
    video.write_video(tmp_path / "silent.mp4", frames(5), FPS)
    path = with_sound(tmp_path / "clip.mp4", tmp_path / "silent.mp4", 5)
    with av.open(path) as container:
        assert not container.streams.audio


def test_broken_audio_is_refused_before_anything_is_written(tmp_path):
    with av.open(BUNNY) as container:
        packets = [packet for packet in container.demux(audio=0) if packet.size]
    content = bytearray(BUNNY.read_bytes())
    content[packets[99].pos : packets[99].pos + packets[99].size] = bytes(packets[99].size)
    (tmp_path / "broken.mp4").write_bytes(content)
    (tmp_path / "text.mp4").write_text("no video")
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"the older video")
    reasons = {
        "broken.mp4": "broken.mp4' is damaged; leave it out, or repair the file",
        "text.mp4": "text.mp4' is damaged or no video",
        "missing.mp4": "missing.mp4' does not exist",
    }
    for name, reason in reasons.items():
        with pytest.raises(ValueError, match=reason) as caught:
            with_sound(path, tmp_path / name)
        assert "\n" not in str(caught.value)
    assert path.read_bytes() == b"the older video"
    assert len(list(tmp_path.iterdir())) == 3


def retimed(path, moved_ms, first=20, count=1):
    """Moves the time stamps of audio packets of a Matroska file."""
    with av.open(path) as container:
        packets = [bytes(packet) for packet in container.demux(audio=0) if packet.size]
    content, place = bytearray(path.read_bytes()), 0
    for number, packet in enumerate(packets):
        place = content.find(packet, place)
        if first <= number < first + count:  # 16 bits of time and 8 of flags precede the data
            (time,) = struct.unpack_from(">h", content, place - 3)
            struct.pack_into(">h", content, place - 3, time + moved_ms)
        place += len(packet)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("suffix", video.CONTAINERS)
def test_sound_whose_stamps_go_back_a_little_is_repaired(suffix, tmp_path, caplog):
    source = retimed(write_tone(tmp_path / "source.mkv", "flac", packets=200), -99)
    path = with_sound(tmp_path / f"clip{suffix}", source, 25)
    with av.open(path) as container:
        stamps = [packet.dts for packet in container.demux(audio=0) if packet.size]
    assert np.diff(stamps).min() > 0
    was, now = heard(source), heard(path)
    assert now.end == pytest.approx(was.end, abs=PACKET_S + CLOCK_S)
    assert now.samples == pytest.approx(was.samples, abs=1024)
    (note,) = [each.getMessage() for each in caplog.records]
    assert note.endswith("source.mkv' has sound whose time stamps go back: its packets follow each "
                         "other instead.")  # fmt: skip


def test_sound_whose_stamps_restart_is_left_out(tmp_path, caplog):
    source = retimed(write_tone(tmp_path / "source.mkv"), -400, count=9)
    path = with_sound(tmp_path / "clip.mp4", source, 25)
    with av.open(path) as container:
        assert not container.streams.audio
    assert len(video.read_video(path).frames) == 25
    (note,) = [each.getMessage() for each in caplog.records]
    assert note.endswith("has sound whose time stamps go back or are missing: it is left out.")


def test_an_interrupted_write_with_audio_keeps_what_was_there(tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"the older video")

    def interrupted():
        with video.writing(path, FPS, audio_from=BUNNY) as write:
            write(frames(30))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_bytes() == b"the older video"
    assert [entry.name for entry in tmp_path.iterdir()] == ["clip.mp4"]
