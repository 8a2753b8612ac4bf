# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import json

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
        ('{"aesthetic_score": "none"}', 'aesthetic_score="none" must be a number or null'),
    ],
)
def test_values_that_cannot_be_used_are_named_with_the_file(content, message, tmp_path):
    (tmp_path / "defaults.json").write_text(content)
    with pytest.raises(ValueError, match=f"defaults.json: .*{message}") as caught:
        read_defaults(tmp_path)
    assert "\n" not in str(caught.value)
