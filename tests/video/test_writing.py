# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import av
import numpy as np
import pytest

from mugv_jax import video

# A small photograph full of edges keeps this much through 4:2:0 colour and x264 at crf 17.
PHOTO_PSNR_DB = 32
# A wrong colour matrix or range, or inexact conversion, shifts a mean by 1 to 20 levels.
MEAN_SHIFT_LEVELS = 0.5


def psnr_db(a: np.ndarray, b: np.ndarray) -> float:
    return 10 * np.log10(255**2 / np.mean(np.square(a.astype(np.float64) - b)))


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


def test_a_stream_appears_when_it_is_complete(clip, tmp_path):
    path = tmp_path / "clip.mp4"
    with video.writing(path, 20) as write:
        write(clip[:1])
        write(clip[1:1])
        write(clip[1:])
        assert not path.exists()
    frames, fps = video.read_video(path)
    assert (frames.shape, fps) == (clip.shape, 20)
    assert psnr_db(frames, clip) > PHOTO_PSNR_DB
