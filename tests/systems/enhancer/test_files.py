# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import dataclasses
import shutil
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from mugv_jax import video
from mugv_jax.systems.enhancer.files import Job, enhance_file, jobs_of
from mugv_jax.systems.enhancer.pipeline import EnhancerPipeline
from mugv_jax.systems.enhancer.request import EnhanceRequest
from tests.data.real_clips import real_clip
from tests.systems.enhancer.folders import SMALL

REQUEST = EnhanceRequest(window=9, overlap=2)


@pytest.fixture(scope="module")
def pipeline():
    return EnhancerPipeline.random(SMALL, keep_loaded=True)


class Lighter(EnhancerPipeline):
    """Pipeline that makes every frame a little lighter, in parts of 3 frames."""

    def __init__(self):
        self.prompts = []

    def run(self, frames, request, *, progress=True):
        del progress
        self.prompts.append(request.prompt)
        held = []
        for frame in frames:
            held.append(np.clip(frame, 0, 250) + np.uint8(5))
            if len(held) == 3:
                yield np.stack(held)
                held = []
        if held:
            yield np.stack(held)


def facts(path):
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = sum(1 for _ in container.decode(stream))
        return frames, (stream.width, stream.height), stream.average_rate


def cut(source, target, frames, *, size=None, audio=False):
    """Writes the beginning of a real clip to a file."""
    with video.open_frames(source) as stream:
        track = source if audio else None
        with video.writing(target, stream.fps, audio_from=track) as write:
            for _, frame in zip(range(frames), stream.frames):
                write(frame[None] if size is None else video.fit(frame[None], *size))
    return target


def test_a_real_clip_comes_back_with_its_frames_size_and_rate(pipeline, tmp_path):
    source = cut(real_clip("bikes.mp4"), tmp_path / "bikes.mp4", 12, size=(38, 54))
    job = Job(source, tmp_path / "out.mp4", compared=tmp_path / "pair.mp4")
    made, note = enhance_file(pipeline, job, REQUEST, progress=False, traced=False)
    assert note is None
    assert facts(job.output) == facts(source) == (12, (54, 38), 25)
    assert facts(job.compared)[0] == 12
    # The weights are random: the result is noise, but not constant.
    assert 5 < made.psnr < 30
    assert (made.frames, made.fps) == (12, 25.0)
    again = video.read_video(job.output).frames.astype(np.float32)
    error = np.mean(np.square(again - video.read_video(source).frames))
    assert abs(10 * np.log10(255**2 / error) - made.psnr) < 1  # of a file that lost some


def test_sound_is_kept(tmp_path):
    source = cut(
        real_clip("bigbuckbunny.mp4"), tmp_path / "bunny.mp4", 25, size=(36, 64), audio=True
    )
    job = Job(source, tmp_path / "out.mp4")
    enhance_file(Lighter(), job, REQUEST, progress=False, traced=False)
    sounds = []
    for path in (source, job.output):
        with av.open(str(path)) as container:
            sounds.append([bytes(p) for p in container.demux(container.streams.audio[0]) if p.size])
    assert sounds[0]
    assert sounds[0] == sounds[1]


def test_the_shape_of_pixels_is_kept(tmp_path):
    frames = np.zeros((3, 32, 32, 3), np.uint8)
    with video.writing(tmp_path / "in.mp4", 10, pixel_aspect=Fraction(2)) as write:
        write(frames)
    job = Job(tmp_path / "in.mp4", tmp_path / "out.mp4", compared=tmp_path / "pair.mkv")
    enhance_file(Lighter(), job, REQUEST, progress=False, traced=False)
    for path in (job.output, job.compared):
        with av.open(path) as container:
            assert container.streams.video[0].sample_aspect_ratio == 2
    assert facts(job.output)[1] == (32, 32)


def test_psnr_is_against_what_it_was_before_it_was_blurred(tmp_path):
    frames = np.random.default_rng(0).integers(0, 250, (7, 32, 32, 3), np.uint8)
    video.write_video(tmp_path / "in.mp4", frames, 10, crf=0)
    decoded = video.read_video(tmp_path / "in.mp4").frames
    job = Job(tmp_path / "in.mp4", tmp_path / "out.mp4", compared=tmp_path / "pair.mp4")
    made, _ = enhance_file(Lighter(), job, REQUEST, progress=False, traced=False)
    lighter = np.clip(decoded, 0, 250).astype(np.float32) + 5
    expected = 10 * np.log10(255**2 / np.mean(np.square(lighter - decoded)))
    assert abs(made.psnr - expected) < 1e-3
    blurred, _ = enhance_file(Lighter(), job, REQUEST, blur=True, progress=False, traced=False)
    assert blurred.psnr < made.psnr - 10
    shown = video.read_video(job.compared).frames[:, :, :32].astype(np.float32)
    assert np.std(np.diff(shown, axis=1)) < 0.7 * np.std(
        np.diff(decoded.astype(np.float32), axis=1)
    )


def test_a_failure_leaves_nothing_behind(tmp_path):
    source = cut(real_clip("bikes.mp4"), tmp_path / "bikes.mp4", 12, size=(16, 16))
    job = Job(source, tmp_path / "out" / "x.mp4", compared=tmp_path / "out" / "x_compare.mp4")

    class Broken(Lighter):
        def run(self, frames, request, *, progress=True):
            yield next(super().run(frames, request, progress=progress))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        enhance_file(Broken(), job, REQUEST, progress=False, traced=False)
    assert not (tmp_path / "out").exists()
    assert not job.done
    enhance_file(Lighter(), job, REQUEST, progress=False, traced=False)
    assert job.done


def test_jobs_of_a_folder_and_of_a_list(tmp_path):
    for name in ("b.mp4", "a.MOV", "notes.txt"):
        (tmp_path / name).touch()
    still, other = Image.new("RGB", (16, 16)), Image.new("RGB", (16, 16), "red")
    still.save(tmp_path / "still.webp")
    still.save(tmp_path / "moving.webp", save_all=True, append_images=[other])
    out = tmp_path / "out"
    jobs = jobs_of(tmp_path, out, compare=True)
    assert [job.source.name for job in jobs] == ["a.MOV", "b.mp4", "moving.webp"]
    assert jobs[0] == Job(tmp_path / "a.MOV", out / "a.mp4", None, compared=out / "a_compare.mp4")
    listed = tmp_path / "list.csv"
    listed.write_text('file_name,text\nb.mp4,"HD, clear"\nsub/c.mkv,\n')
    other = listed.with_suffix(".jsonl")
    other.write_text('{"path": "b.mp4", "caption": "HD, clear"}\n{"file_name": "sub/c.mkv"}\n')
    jobs = jobs_of(listed, out, compare=False)
    assert jobs_of(other, out, compare=False) == jobs
    assert [(job.source, job.output.name, job.prompt) for job in jobs] == [
        (tmp_path / "b.mp4", "b.mp4", "HD, clear"),
        (tmp_path / "sub" / "c.mkv", "c.mp4", None),
    ]
    assert jobs_of(tmp_path / "b.mp4", "x.mp4", compare=False)[0].output.name == "x.mp4"


def test_a_prompt_of_the_list_counts_for_its_video(tmp_path):
    video.write_video(tmp_path / "in.mp4", np.zeros((3, 16, 16, 3), np.uint8), 10)
    pipeline = Lighter()
    for prompt in (None, "a boat"):
        job = Job(tmp_path / "in.mp4", tmp_path / "out.mp4", prompt)
        enhance_file(
            pipeline, job, dataclasses.replace(REQUEST, prompt="HD"), progress=False, traced=False
        )
    assert pipeline.prompts == ["HD", "a boat"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty: it needs file_name"),
        ("name\na.mp4\n", "line 2: no video; each needs a column file_name"),
        ("file_name,text\na.mp4,a, b\n", "line 2 has 3 cells"),
        ("file_name\na.mp4\nsub/a.mkv\n", "several videos of .* would be written to .*a.mp4"),
    ],
)
def test_lists_that_make_no_sense_are_refused(tmp_path, text, message):
    listed = tmp_path / "list.csv"
    listed.write_text(text)
    with pytest.raises(ValueError, match=message):
        jobs_of(listed, tmp_path / "out", compare=False)


def test_folders_are_written_to_folders(tmp_path):
    with pytest.raises(ValueError, match="holds no videos"):
        jobs_of(tmp_path, tmp_path / "out", compare=False)
    shutil.copy(real_clip("bikes.mp4"), tmp_path / "bikes.mp4")
    with pytest.raises(ValueError, match="must be a folder: there are several videos"):
        jobs_of(tmp_path, tmp_path / "out.mp4", compare=False)
    for source in (tmp_path, tmp_path / "bikes.mp4"):
        out = tmp_path if source.is_dir() else source
        with pytest.raises(ValueError, match=r"bikes.mp4 would be written over what is read"):
            jobs_of(source, out, compare=False)
    with pytest.raises(ValueError, match=r"absent\.mp4"):
        enhance_file(
            Lighter(),
            Job(tmp_path / "absent.mp4", tmp_path / "x.mp4"),
            REQUEST,
            progress=False,
        )


def test_files_that_are_enhanced_have_known_suffixes():
    assert set(video.VIDEOS) > set(video.CONTAINERS)
