# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import itertools
from fractions import Fraction

import av
import numpy as np
import pytest
from av.stream import Disposition

from mugv_jax import video
from mugv_jax.video import reading
from tests.data.real_clips import real_clip
from tests.video.numbered import numbered, numbers, write_timed

VARYING_MS = [*range(0, 1000, 100), *(1000 + round(1000 * n / 30) for n in range(30))]


def streamed(path):
    """Contents of a stream, with frames as an array."""
    with video.open_frames(path) as stream:
        return stream._replace(frames=np.stack(list(stream.frames)))


def test_only_the_first_or_last_frames_are_read(clip, tmp_path):
    path = tmp_path / "clip.mp4"
    video.write_video(path, clip, 20)
    whole, _ = video.read_video(path)
    np.testing.assert_array_equal(video.read_video(path, max_frames=3).frames, whole[:3])
    last = video.read_video(path, max_frames=3, from_end=True)
    np.testing.assert_array_equal(last.frames, whole[-3:])
    with pytest.raises(ValueError, match="max_frames=0"):
        video.read_video(path, max_frames=0)


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


def test_an_unknown_codec_is_refused_in_every_reader(clip, tmp_path):
    path = tmp_path / "clip.mp4"
    video.write_video(path, clip, 20)
    content = path.read_bytes()
    place = content.rfind(b"avc1")  # of the sample's description; the first is in the file's type
    path.write_bytes(content[:place] + b"abcd" + content[place + 4 :])
    for read in (video.read_video, lambda path: video.open_frames(path).__enter__()):
        with pytest.raises(ValueError, match=r"clip\.mp4' has a codec that FFmpeg does not know"):
            read(path)


def test_every_frame_of_a_real_clip_comes_once():
    path = real_clip("carphone_pristine.mp4")
    stream = streamed(path)
    assert stream.fps == Fraction(30000, 1001)
    assert stream.size == (176, 144)
    assert stream.resampled is None
    assert len(stream.frames) == 120
    assert (stream.frames[1:] != stream.frames[:-1]).any((1, 2, 3)).all()


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".ts"])
@pytest.mark.parametrize("rate", [Fraction(25), Fraction(24000, 1001), Fraction(60)])
def test_a_clock_of_milliseconds_leaves_a_constant_rate(rate, suffix, tmp_path):
    times = [round(1000 * number / rate) for number in range(40)]
    stream = streamed(write_timed(tmp_path / f"clip{suffix}", times, rate))
    # Forty times that are rounded to a millisecond leave the rate in doubt by a thousandth.
    assert float(stream.fps) == pytest.approx(float(rate), rel=1e-3)
    assert stream.resampled is None
    assert numbers(stream.frames) == list(range(40))


def test_the_rate_that_the_file_gives_is_kept_exactly(tmp_path):
    for rate in (Fraction(30000, 1001), Fraction(25), Fraction(2997, 100)):
        for suffix in video.CONTAINERS:
            video.write_video(tmp_path / f"clip{suffix}", numbered(9), rate)
            assert streamed(tmp_path / f"clip{suffix}").fps == rate


def test_a_shivering_clock_repeats_no_frame(tmp_path):
    shiver = np.random.default_rng(0).integers(-9, 10, 40)  # ms; a quarter of a frame is 10
    times = [40 * number + 9 + int(late) for number, late in enumerate(shiver)]
    stream = streamed(write_timed(tmp_path / "camera.mkv", times, 25))
    assert float(stream.fps) == pytest.approx(25, rel=0.01)
    assert stream.resampled is None
    assert numbers(stream.frames) == list(range(40))


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_a_variable_rate_becomes_its_average(suffix, tmp_path):
    path = write_timed(tmp_path / f"varying{suffix}", VARYING_MS, 30)
    stream = streamed(path)
    length_s = (VARYING_MS[-1] + 33) / 1000
    assert float(stream.fps) == pytest.approx(40 / length_s, rel=1e-3)
    assert abs(len(stream.frames) / stream.fps - length_s) < 1 / stream.fps
    assert numbers(stream.frames) == [
        max(number for number, time in enumerate(VARYING_MS) if time <= 1000 * k / stream.fps + 1)
        for k in range(len(stream.frames))
    ]
    assert f"{str(path)!r} has a variable frame rate" in stream.resampled
    assert f"{float(stream.fps):.5g} per second" in stream.resampled


def test_frames_are_decoded_as_they_are_taken(clip, tmp_path, monkeypatch):
    made = []

    def counted(frame, **options):
        made.append(frame.pts)
        return video.upright_rgb(frame, **options)

    monkeypatch.setattr(reading, "upright_rgb", counted)
    paths = [tmp_path / "clip.mp4", write_timed(tmp_path / "varying.mkv", VARYING_MS, 30)]
    video.write_video(paths[0], clip, 20)
    for path in paths:
        with video.open_frames(path) as stream:
            assert len(made) == 1  # tells the size
            list(itertools.islice(stream.frames, 4))
            assert len(made) <= 4
        made.clear()


@pytest.mark.parametrize(
    ("suffix", "options"),
    [(".mp4", {"movflags": "faststart"}), (".mkv", {}), (".avi", {}), (".flv", {})],
)
def test_a_file_that_breaks_off_is_refused(suffix, options, tmp_path):
    path = tmp_path / f"whole{suffix}"
    with av.open(path, "w", options=options) as container:
        stream = container.add_stream("mpeg4" if suffix == ".avi" else "libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        noise = np.random.default_rng(0).integers(0, 256, (60, 48, 64, 3), np.uint8)
        for frame in noise:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    assert len(streamed(path).frames) == 60
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with (
        pytest.raises(
            ValueError, match=rf"whole\{suffix}' is damaged: it breaks off after \d\.\d s"
        ),
        video.open_frames(path),
    ):
        pass


def test_the_end_of_a_recording_does_not_make_its_rate_variable(tmp_path):
    path = tmp_path / "recording.ts"
    times = range(0, 1600, 40)
    content = write_timed(path, times, 25).read_bytes()
    packet = 188
    for packets in range(len(content) // packet - 30, len(content) // packet, 3):
        path.write_bytes(content[: packets * packet])
        stream = streamed(path)
        assert (stream.fps, stream.resampled) == (25, None)


def test_files_without_frames_are_refused_in_one_line(tmp_path):
    def written(name, *codecs):
        with av.open(tmp_path / name, "w") as container:
            streams = [container.add_stream(codec) for codec in codecs]
            silence = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), "fltp")
            silence.rate = 48_000
            container.mux(streams[-1].encode(silence))
            container.mux(streams[-1].encode())

    def cover(name):
        with av.open(tmp_path / name, "w") as container:
            stream = container.add_stream("mjpeg", rate=1)
            stream.height, stream.width, stream.pix_fmt = 48, 64, "yuvj420p"
            stream.disposition = Disposition.attached_pic.value
            container.mux(stream.encode(av.VideoFrame.from_ndarray(numbered(1)[0])))
            container.mux(stream.encode())

    cover("cover.mp4")
    written("sound.mp4", "aac")
    written("sound.mkv", "aac")
    written("both.mkv", "libx264", "aac")
    (tmp_path / "text.mp4").write_text("no video")
    reasons = {
        "missing.mp4": "does not exist",
        ".": "is a folder",
        "text.mp4": "is damaged or no video",
        "cover.mp4": "holds no video",
        "sound.mp4": "holds no video",
        "sound.mkv": "holds no video",
        "both.mkv": "holds no frame of video",
    }
    for name, reason in reasons.items():
        with pytest.raises(ValueError, match=reason) as caught, video.open_frames(tmp_path / name):
            pass
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)


def test_damage_on_the_way_is_told_and_only_damage(clip, tmp_path):
    path = tmp_path / "clip.mp4"
    video.write_video(path, clip, 20)
    with pytest.raises(av.InvalidDataError), video.open_frames(path):
        raise av.InvalidDataError(1, "of another file")
    with av.open(path) as container:
        places = [packet.pos for packet in container.demux(video=0) if packet.size]
    content = bytearray(path.read_bytes())
    content[places[5] : places[5] + 40] = bytes(40)
    path.write_bytes(content)
    with (
        pytest.raises(ValueError, match=r"clip\.mp4' is damaged or no video"),
        video.open_frames(path) as stream,
    ):
        list(stream.frames)


def test_files_put_one_behind_the_other_are_refused(tmp_path):
    part = write_timed(tmp_path / "part.ts", range(0, 1600, 40), 25).read_bytes()
    (tmp_path / "joined.ts").write_bytes(part + part)
    with (
        pytest.raises(ValueError, match="time stamps that restart"),
        video.open_frames(tmp_path / "joined.ts"),
    ):
        pass
