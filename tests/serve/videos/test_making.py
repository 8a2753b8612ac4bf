# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Batches of a worker, with a pipeline that draws noise."""

import types

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from mugv_jax.serve.videos import making, pod
from mugv_jax.serve.videos.generators import MugvGenerator
from mugv_jax.serve.videos.making import Maker
from mugv_jax.serve.videos.messages import Done, Failed, Job, Preview, Step
from mugv_jax.serve.videos.places import Places, new_id
from mugv_jax.serve.videos.pod import Pod
from mugv_jax.systems.mugv.defaults import Defaults
from mugv_jax.systems.steps import Progress
from mugv_jax.video import Video, read_record, read_video

RECORD = {
    "schema": 1,
    "prompt": "p",
    "seed": 1,
    "settings": {},
    "inputs": {"image": {"path": "/srv/served/inputs/x/image.png", "sha256": "1"}},
    "weights": {"given": {"weights": "/srv/weights/mugv", "lora": [["/srv/a.pt", 1.0]]}},
    "after": {"enhance": {"given": {"weights": "/srv/enhancer"}}},
}


class Pipeline:
    """Draws a video for every prompt, in two steps, and notes what it was asked."""

    def __init__(self, error=None):
        self.calls, self._error = [], error
        self.models = types.SimpleNamespace(arguments={"lora": [("/base.safetensors", 0.5)]})

    def load_lora_weights(self, path, adapter_name):
        self.calls.append((path, adapter_name))

    def set_adapters(self, names, scales):
        self.calls.append((names, scales))

    def generate(self, prompts, *, on_step, **options):
        if self._error is not None:
            raise self._error
        self.calls.append((prompts, options["seed"]))
        videos = tuple(range(len(prompts)))
        picture = np.zeros((16, 16, 3), np.uint8)
        latents = jnp.zeros((len(videos), 4, 2, 2, 1))
        for step in (1, 2):

            def preview(frame, step=step):
                self.calls.append((step, frame))
                return [picture] * len(videos)

            on_step(Progress(videos, step, 2, 1.0, 0.5, 0.0, latents, preview))
        frames = np.random.default_rng(0).integers(0, 255, (9, 32, 48, 3), np.uint8)
        return [Video(frames, 8, RECORD) for _ in videos]


@pytest.fixture
def said():
    return []


@pytest.fixture
def made(tmp_path, said):
    """Function that makes jobs with a pipeline, and where their files are."""
    places = Places(tmp_path)

    def make(pipeline, *jobs, cancelled=(), **options):
        given = {"loras": {"paint": tmp_path / "paint.pt"}, "enhance": None} | options
        generator = MugvGenerator(Defaults())
        maker = Maker(generator, pipeline, places, Pod(0, 1), report=said.append, **given)
        maker.make(jobs, set(cancelled))
        return maker

    make.places = places
    return make


def job(**settings):
    usual = {
        "prompt": "a star", "negative_prompt": "", "size": [64, 64], "frames": 17, "steps": 2,
        "guidance": 3.0, "seed": 1, "lora": None, "lora_scale": None, "enhance": False,
        "inputs": {},
    }  # fmt: skip
    return Job(new_id(), {**usual, **settings})


def test_a_batch_is_written_and_reported(made, said, monkeypatch):
    monkeypatch.setattr(making, "PREVIEW_S", 0.0)
    jobs = [job(seed=3), job(prompt="a cat", seed=9)]
    pipeline = Pipeline()
    made(pipeline, *jobs)
    ids = tuple(each.id for each in jobs)
    assert pipeline.calls == [(["a star", "a cat"], [3, 9]), (1, 0)]
    kinds = [type(message) for message in said]
    assert kinds == [Step, Preview, Preview, Step, Done, Done]
    assert said[0] == Step(ids, 1, 2)
    for each in jobs:
        assert len(read_video(made.places.result(each.id)).frames) == 9
        for suffix, size in ((".webp", (48, 32)), (".jpg", (480, 32))):
            with Image.open(made.places.result(each.id, suffix)) as picture:
                assert picture.size == size


def test_a_preview_of_a_given_picture_shows_a_later_frame(made, monkeypatch):
    monkeypatch.setattr(making, "PREVIEW_S", 0.0)
    pipeline = Pipeline()
    made(pipeline, job(inputs={"image": "image.png"}))
    assert pipeline.calls[-1] == (1, 2)


def test_files_tell_no_folders_of_the_server(made):
    one = job()
    made(Pipeline(), one)
    record = read_record(made.places.result(one.id))
    assert "/srv" not in str(record)
    assert record["weights"]["given"] == {"weights": "mugv", "lora": [["a.pt", 1.0]]}
    assert record["inputs"]["image"]["path"] == "image.png"
    assert record["after"]["enhance"]["given"]["weights"] == "enhancer"


def test_nothing_is_written_that_is_not_wanted(made, said):
    one, other = job(), job()
    made(Pipeline(), one, cancelled=[one.id])
    assert said == []
    made(Pipeline(), one, other, cancelled=[one.id])
    assert said[-1] == Done(other.id)
    assert not made.places.result(one.id).exists()


def test_adapters_are_merged_when_they_change(made, tmp_path):
    pipeline = Pipeline()
    maker = made(pipeline, job(lora="paint", lora_scale=0.7))
    assert pipeline.calls[0] == (tmp_path / "paint.pt", "paint")
    assert pipeline.calls[1] == (["default_0", "paint"], [0.5, 0.7])
    maker.make([job(lora="paint", lora_scale=0.7)], ())
    assert len(pipeline.calls) == 4  # the prompts of two
    maker.make([job()], ())
    assert pipeline.calls[4] == (["default_0"], [0.5])


def test_videos_are_enhanced_if_they_ask_for_it(made):
    def enhance(video):
        return Video(video.frames[:2], video.fps, video.record)

    plain, better = job(), job(enhance=True)
    made(Pipeline(), plain, enhance=enhance)
    made(Pipeline(), better, enhance=enhance)
    lengths = [len(read_video(made.places.result(each.id)).frames) for each in (plain, better)]
    assert lengths == [9, 2]


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (ValueError("frames=3 must be 8k+1."), "invalid_request", "frames=3 must be 8k+1."),
        (RuntimeError("RESOURCE_EXHAUSTED: 3 GB"), "out_of_memory", "ask for a smaller size"),
        (MemoryError(), "out_of_memory", "ask for a smaller size"),
        (OSError(28, "No space left", "/srv/secret"), "server_error", "could not write"),
        (KeyError("inner"), "server_error", "could not be made"),
    ],
)
def test_errors_are_explained_without_details_of_the_server(made, said, error, code, message):
    made(Pipeline(error), one := job())
    (failed,) = said
    assert isinstance(failed, Failed)
    assert (failed.id, failed.code) == (one.id, code)
    assert message in failed.message
    assert "/srv" not in failed.message


def test_processes_follow_what_the_leader_says(monkeypatch):
    sent = []

    def broadcast(array):
        sent.append(array.copy())
        return array

    monkeypatch.setattr(pod, "_broadcast", broadcast)
    leader = Pod(0, 2)
    value = {"jobs": (job(),), "file": bytes(10_000)}
    assert leader.share(value) == value
    monkeypatch.setattr(pod, "_broadcast", lambda _: sent.pop(0))
    assert Pod(1, 2).share() == value
    assert sent == []
    alone = Pod(0, 1)
    assert alone.share(value) is value
    assert alone.agree(3) == 3
