# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import dataclasses
import json

import numpy as np
import pytest

from mugv_jax.flow.guidance import Guidance
from mugv_jax.systems.mugv.defaults import Defaults, read_defaults
from mugv_jax.systems.mugv.request import Request
from mugv_jax.systems.mugv.size import VideoSize

SMALL = {
    "size": "64x48", "frames": "17", "fps": 8, "conditioning_fps": 8.5, "steps": 3,
    "guidance": 3, "negative_prompt": "", "aesthetic_score": None,
}  # fmt: skip


def test_without_a_file_they_are_those_of_the_released_pipeline(tmp_path):
    assert read_defaults(tmp_path) == Defaults()
    size = VideoSize(width_px=720, height_px=1280, frames=105)
    assert Defaults().request(("a boat",)) == Request(prompts=("a boat",), size=size)


def test_a_request_has_those_of_the_file_where_it_gives_no_other(tmp_path):
    (tmp_path / "defaults.json").write_text(json.dumps(SMALL))
    defaults = read_defaults(tmp_path)
    expected = {
        "prompts": ("a", "b"), "fps": 8.0, "conditioning_fps": 8.5, "steps": 3,
        "guidance": Guidance(scale=3.0), "negative_prompt": "", "aesthetic_score": None,
        "size": VideoSize(width_px=64, height_px=48, frames=17),
    }  # fmt: skip
    assert defaults.request(("a", "b")) == Request(**expected)
    given = {"fps": 12.0, "aesthetic_score": 5.0, "seed": 3}
    changed = defaults.request(("a", "b"), size=(32, 48), guidance=2.0, **given)
    expected |= given | {"guidance": Guidance(scale=2.0)}
    expected["size"] = VideoSize(width_px=32, height_px=48, frames=17)
    assert changed == Request(**expected)
    rescaled = Guidance(scale=1.5, rescale=0.5)
    assert defaults.request(("a",), guidance=rescaled).guidance == rescaled


def test_a_file_may_leave_things_out(tmp_path):
    (tmp_path / "defaults.json").write_text('{"frames": "3s", "size": "square"}')
    assert read_defaults(tmp_path) == Defaults(frames=73, size=(960, 960))
    (tmp_path / "defaults.json").write_text('{"frames": 9}')
    assert read_defaults(tmp_path) == Defaults(frames=9)


FEW = {"steps": 2, "guidance": 1, "renoise": True}


def write(folder, values):
    folder.mkdir(exist_ok=True)
    (folder / "defaults.json").write_text(json.dumps(values))
    return folder


def test_a_model_of_few_steps_says_how_it_is_sampled(tmp_path):
    weights = write(tmp_path / "weights", SMALL | {"shift": 2})
    student = write(tmp_path / "student", FEW)
    adapter = write(tmp_path / "adapter", {"times": [1, 0.6, 0.3]}) / "few.safetensors"
    adapter.write_bytes(b"")
    plain = read_defaults(weights)
    few = read_defaults(weights, dit=student)
    assert few == dataclasses.replace(plain, steps=2, guidance=1.0, renoise=True)
    assert read_defaults(weights, lora=[(student, 0.5)]) == few
    assert read_defaults(weights, dit=weights / "dit.pt") == plain
    both = read_defaults(weights, dit=student, lora=adapter)
    assert both == dataclasses.replace(few, steps=3, times=(1.0, 0.6, 0.3))
    request = both.request(("a",))
    assert request.renoise
    np.testing.assert_array_equal(request.schedule(), np.float32([1, 0.6, 0.3, 0]))
    later = write(tmp_path / "later", {"steps": 4})
    assert read_defaults(weights, lora=[adapter, later]).times is None


def test_options_replace_the_times_of_the_defaults():
    few = Defaults(steps=2, times=(1.0, 0.5), renoise=True, guidance=1.0)
    assert few.request(("a",)).steps == 2
    assert few.request(("a",), steps=4).schedule().shape == (5,)
    assert few.request(("a",), shift=3.0).schedule()[1] == pytest.approx(0.75)
    assert few.request(("a",), times=(1.0,)).steps == 1
    assert not few.request(("a",), renoise=False).renoise
    for options, message in (
        ({"steps": 3, "times": (1.0, 0.5)}, "steps=3 must be the number of the given times, 2"),
        ({"init_video": "a.mp4"}, r"times=1.0,0.5 begin at pure noise, but init_video"),
        ({"reuse_threshold": 0.1}, "reuse threshold=0.1 with renoise"),
    ):
        with pytest.raises(ValueError, match=message):
            few.request(("a",), **options)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "Expecting property name"),
        ("[1]", r"must hold names and values in braces, not \[1\]"),
        ('{"stpes": 3, "seed": 1}', "has no use for seed, stpes; it knows size, frames, fps"),
        ('{"steps": 2.5}', r"steps=2\.5 must be a whole number"),
        ('{"steps": true}', "steps=true must be a whole number"),
        ('{"steps": 0}', "steps=0 must be at least 1"),
        ('{"size": [64, 64]}', r"size=\[64, 64\] must be a text such as"),
        ('{"size": "64"}', "size '64' must be WIDTHxHEIGHT"),
        ('{"size": "64x60"}', "height=60 must be a positive multiple of 8"),
        ('{"frames": 18}', "the nearest are 17 and 25"),
        ('{"frames": null}', "frames=null must be a whole number or a text"),
        ('{"fps": "8"}', 'fps="8" must be a number'),
        ('{"fps": NaN}', "NaN is no number of JSON"),
        ('{"guidance": -1}', r"guidance scale=-1\.0"),
        ('{"negative_prompt": null}', "negative_prompt=null must be a text"),
        ('{"renoise": 1}', "renoise=1 must be true or false"),
        ('{"times": 1}', r"times=1 must be a list of numbers, such as \[1, 0.6\], or null"),
        ('{"times": [1, true]}', r"times=\[1, true\] must be a list"),
        ('{"times": [0.5]}', r"times=0.5 must be 1 to 1000 falling numbers"),
        ('{"times": [1, 0.5], "steps": 3}', "steps=3 must be the number of the given times"),
        ('{"aesthetic_score": "none"}', 'aesthetic_score="none" must be a number or null'),
    ],
)
def test_values_that_cannot_be_used_are_named_with_the_file(content, message, tmp_path):
    (tmp_path / "defaults.json").write_text(content)
    with pytest.raises(ValueError, match=f"defaults.json: .*{message}") as caught:
        read_defaults(tmp_path)
    assert "\n" not in str(caught.value)
