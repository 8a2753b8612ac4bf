# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""What is taken from a record, and what is refused; digests of weights."""

import shutil

import numpy as np
import pytest

from mugv_jax.flow.guidance import Guidance
from mugv_jax.systems.record import input_of, options_of
from mugv_jax.weights import digests
from mugv_jax.weights.digests import weights_digest

SETTINGS = {
    "size": [64, 48],
    "frames": 17,
    "steps": 4,
    "shift": None,
    "guidance": {"scale": 3.0, "interval": [0.0, 0.5]},
}


def record(**changed):
    return {"schema": 1, "seed": 3, "settings": SETTINGS, "inputs": {}, **changed}


def test_settings_come_back_as_options():
    guidance = Guidance(scale=3.0, interval=(0.0, 0.5))
    expected = {**SETTINGS, "size": (64, 48), "guidance": guidance, "seed": 3}
    assert options_of(record(), "v.mp4") == expected


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"schema": 2}, r"v.mp4: its record has the schema 2, and this version reads 1"),
        ({"seed": "3"}, "no usable seed: 3"),
        ({"seed": True}, "no usable seed: True"),
        ({"settings": {"steps": 4.5}}, r"no usable steps: 4\.5"),
        ({"settings": {"sampler": "x"}}, "no usable sampler"),
        ({"settings": {"size": [64]}}, "values that cannot be"),
        ({"settings": {"guidance": {"scale": -1}}}, "guidance scale=-1"),
        ({"settings": {"guidance": {"power": 1}}}, "values that cannot be"),
        ({"inputs": {"weights": {"path": "/x"}}}, "an unknown input weights"),
        ({"inputs": {"image": "x"}}, "was made with image from memory"),
        ({"inputs": {"keyframes": {"a": {}}}}, "key frames without numbers"),
    ],
)
def test_records_that_cannot_be_used_are_refused(changed, message):
    with pytest.raises(ValueError, match=message):
        options_of(record(**changed), "v.mp4")


def test_inputs_must_be_there_and_the_same(tmp_path):
    picture = tmp_path / "picture.png"
    picture.write_bytes(b"one")
    stated = input_of(picture)
    frames = {"image": stated, "keyframes": {"8": stated}}
    made = options_of(record(inputs=frames), "v.mp4")
    assert (made["image"], made["keyframes"]) == (str(picture), {8: str(picture)})
    picture.write_bytes(b"two")
    with pytest.raises(ValueError, match=r"image '.*picture.png' has changed since: give image"):
        options_of(record(inputs=frames), "v.mp4")
    assert "image" not in options_of(record(inputs={"image": stated}), "v.mp4", without=["image"])
    picture.unlink()
    with pytest.raises(ValueError, match=r"keyframe 8 '.*png': file .* does not exist. give key"):
        options_of(record(inputs={"keyframes": {"8": stated}}), "v.mp4")


def test_frames_in_memory_are_known_by_their_digest():
    frames = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    assert input_of(frames) == input_of(frames.copy())
    assert input_of(frames)["shape"] == [2, 4, 3]
    assert input_of(frames) != input_of(frames[::-1])


def test_a_digest_follows_the_contents_and_not_the_name(tmp_path, monkeypatch):
    monkeypatch.setattr(digests, "WHOLE_BYTES", 4096)  # larger files are read in blocks
    monkeypatch.setattr(digests, "BLOCK_BYTES", 8)
    rng, path = np.random.default_rng(0), tmp_path / "dit.pt"
    path.write_bytes(rng.bytes(100_000))
    first = weights_digest(path)
    shutil.copy(path, tmp_path / "other.pt")
    assert weights_digest(tmp_path / "other.pt") == first
    trained = np.frombuffer(path.read_bytes(), np.uint8) ^ 1
    path.write_bytes(trained.tobytes())
    assert weights_digest(path) != first
    longer = tmp_path / "longer.pt"
    longer.write_bytes(trained.tobytes() + b"\0")
    assert weights_digest(longer) != weights_digest(path)
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "a.safetensors").write_bytes(b"x")
    before = weights_digest(adapter)
    (adapter / "b.json").write_bytes(b"y")
    assert weights_digest(adapter) != before
