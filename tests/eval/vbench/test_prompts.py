# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import json

import numpy as np
import pytest
from PIL import Image

from mugv_jax.eval.vbench.images import images_at
from mugv_jax.eval.vbench.prompts import chosen, is_whole, name_of, read_prompts, samples_of
from mugv_jax.eval.vbench.suites import I2V, T2V

LIST = [
    {"prompt_en": "In a still frame, a stop sign", "dimension": ["temporal_flickering"]},
    {
        "prompt_en": "a red bird",
        "dimension": ["color"],
        "auxiliary_info": {"color": {"color": "red"}},
    },
    {"prompt_en": "a beach, oil painting", "dimension": ["appearance_style"]},
    {"prompt_en": "a red bird", "dimension": ["object_class"]},
]
PICTURES = [
    {
        "prompt_en": "a cat, camera pans left",
        "dimension": ["camera_motion"],
        "image_type": "animal",
        "image_name": "a cat.jpg",
    },
    {"prompt_en": "a cat", "dimension": ["i2v_subject"], "image_name": "a cat.jpg"},
]


def written(folder, entries):
    path = folder / "info.json"
    path.write_text(json.dumps(entries))
    return path


def test_the_list_of_vbench(tmp_path):
    suite, prompts = read_prompts(written(tmp_path, LIST))
    assert suite is T2V
    assert [(prompt.number, prompt.text) for prompt in prompts] == [
        (0, "In a still frame, a stop sign"), (1, "a red bird"), (2, "a beach, oil painting")
    ]  # fmt: skip
    assert prompts[1].dimensions == ("color", "object_class")
    (bird,) = chosen(prompts, suite, ["object_class"])
    assert bird is prompts[1]
    samples = samples_of(prompts, suite, seed=7)
    assert len(samples) == 25 + 5 + 5
    assert len({sample.seed for sample in samples}) == len(samples)
    assert samples[25].output == "a red bird-0.mp4"
    few = samples_of([bird], suite, seed=7, per_prompt=2)
    assert few == samples[25:27]  # the same seeds, whatever else is sampled
    with pytest.raises(ValueError, match="dimension 'camera_motion' is none of VBench, which has"):
        chosen(prompts, suite, ["camera_motion"])


def test_the_list_of_vbench_i2v(tmp_path):
    suite, prompts = read_prompts(written(tmp_path, PICTURES))
    assert suite is I2V
    samples = samples_of(prompts, suite, seed=0, images=tmp_path / "crop")
    assert [sample.seed for sample in samples] == [*range(5), *range(100, 105)]
    assert {sample.image for sample in samples} == {str(tmp_path / "crop" / "a cat.jpg")}


@pytest.mark.parametrize("prompt", ["x" * 231, "either/or", "ä" * 120, ".hidden", "a/" * 90])
def test_a_prompt_that_names_no_file_has_a_name_of_its_own(prompt):
    assert not is_whole(prompt)
    name = name_of(prompt, 3)
    assert name.endswith("-3.mp4")
    assert "/" not in name
    assert not name.startswith(".") or prompt.startswith(".")
    assert len(name.encode()) < 200
    assert name_of(prompt + "?", 3) != name


def test_every_prompt_of_up_to_230_bytes_names_its_videos():
    assert name_of("x" * 230, 0) == "x" * 230 + "-0.mp4"


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([], "must be a list of prompts"),
        ({"prompt_en": "a"}, "must be a list of prompts"),
        (["a"], "entry 1: prompt_en is None"),
        ([{"prompt_en": " ", "dimension": []}], "entry 1: prompt_en is ' '"),
        ([{"prompt_en": "a", "dimension": "color"}], "entry 1: dimension is 'color', but must"),
        ([{"prompt_en": "a", "dimension": ["beauty"]}], "entry 1: dimension is"),
        ([PICTURES[0], LIST[1]], "entry 2: dimension is"),
        ([{**PICTURES[0], "image_name": "../a.jpg"}], "entry 1: image_name is '../a.jpg'"),
        ([PICTURES[0], {**PICTURES[0], "image_name": "b.jpg"}], "has two pictures"),
    ],
)
def test_other_lists_are_refused(tmp_path, entries, message):
    with pytest.raises(ValueError, match=message):
        read_prompts(written(tmp_path, entries))


@pytest.fixture
def data(tmp_path):
    """The folder of pictures as downloaded, with an original of 64x48 and its box at 16-9."""
    pixels = np.arange(48 * 64 * 3).reshape(48, 64, 3) % 7 + 100
    (tmp_path / "origin").mkdir()
    picture = Image.fromarray(pixels.astype(np.uint8))
    picture.save(tmp_path / "origin" / "a cat.jpg", quality=100)
    boxes = [{"file_name": "a cat.jpg", "diff_ratio_crop": {"16-9": [3, 6, 48, 27]}}]
    (tmp_path / "i2v-bench-info.json").write_text(json.dumps(boxes))
    return tmp_path


def test_pictures_are_cropped_to_their_boxes(data, tmp_path):
    folder = images_at(data, "16-9", ["a cat.jpg", "a cat.jpg"], tmp_path / "cache")
    assert [path.name for path in folder.iterdir()] == ["a cat.jpg"]
    with (
        Image.open(folder / "a cat.jpg") as found,
        Image.open(data / "origin" / "a cat.jpg") as whole,
    ):
        assert found.size == (48, 27)
        expected = np.asarray(whole)[6:33, 3:51].astype(float)
        assert np.abs(np.asarray(found) - expected).mean() < 3  # of JPEG
    with pytest.raises(ValueError, match=r"has no box for 'a cat\.jpg' at 1-1"):
        images_at(data, "1-1", ["a cat.jpg"], tmp_path / "cache")


def test_cropped_pictures_are_taken_as_they_are(data, tmp_path):
    (data / "crop" / "1-1").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"1 picture is missing:\n  a cat\.jpg"):
        images_at(data, "1-1", ["a cat.jpg"], tmp_path / "cache")
    (data / "crop" / "1-1" / "a cat.jpg").touch()
    assert images_at(data, "1-1", ["a cat.jpg"], tmp_path) == data / "crop" / "1-1"
    with pytest.raises(ValueError, match=r"holds neither crop/1-1 nor i2v-bench-info\.json"):
        images_at(tmp_path / "nothing", "1-1", ["a cat.jpg"], tmp_path)
