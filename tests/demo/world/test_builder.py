# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import subprocess
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds

from mugv_jax.demo.world.builder import DemoWorld
from mugv_jax.demo.world.clips import DemoClips
from mugv_jax.demo.world.scene import Format

COUNTS = {"train": 3, "validation": 1, "unseen": 2}
FORMAT = Format(height_px=64, width_px=80, frames=9)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    builder = tfds.builder(
        "demo_world", counts=COUNTS, format=FORMAT, data_dir=tmp_path_factory.mktemp("sets")
    )
    assert isinstance(builder, DemoWorld)
    tfds.display_progress_bar(enable=False)
    builder.download_and_prepare()
    tfds.display_progress_bar(enable=True)
    return builder.data_path


def test_records_are_the_clips(folder):
    builder = tfds.builder_from_directory(folder)
    for split, count in COUNTS.items():
        records = builder.as_data_source(split)
        clips = DemoClips(split=split, count=count, format=FORMAT)
        assert len(records) == count
        for number in range(count):
            record, clip = records[number], clips[number]
            np.testing.assert_array_equal(record["video"], clip.video)
            assert record["fps"] == clip.fps
            assert record["caption"].decode() == clip.caption
            told = {name: value.decode() for name, value in record["attributes"].items()}
            assert told == clip.attributes


def test_reading_needs_no_tensorflow(folder):
    code = (
        "import sys, tensorflow_datasets as tfds\n"
        f"source = tfds.builder_from_directory({str(folder)!r}).as_data_source('unseen')\n"
        "print(source[1]['video'].shape)\n"
        "assert 'tensorflow' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True
    )
    assert done.stdout.strip() == "(9, 64, 80, 3)", done.stderr


def test_clips_with_other_attributes_are_left_out(tmp_path):
    only = {"shape": ("star", "ball"), "tone": ("dark",)}
    builder = tfds.builder(
        "demo_world", counts={"train": 60}, seed=3, format=FORMAT, only=only, data_dir=tmp_path
    )
    tfds.display_progress_bar(enable=False)
    builder.download_and_prepare()
    tfds.display_progress_bar(enable=True)
    records = builder.as_data_source("train")
    clips = DemoClips(split="train", count=60, seed=3, format=FORMAT)
    kept = [
        number
        for number in range(60)
        if (clips.scene(number).attributes["shape"] in only["shape"])
        and (clips.scene(number).attributes["tone"] == "dark")
    ]
    assert 0 < len(kept) == len(records)
    for record, number in zip(records, kept, strict=True):
        np.testing.assert_array_equal(record["video"], clips[number].video)


def test_unknown_attributes_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"only=\{'size'.* must name some of shape, colour"):
        DemoWorld(counts={"train": 1}, only={"size": ("small",)}, data_dir=tmp_path)


def test_unknown_splits_are_refused(tmp_path):
    with pytest.raises(ValueError, match="must name some of train, validation, unseen"):
        DemoWorld(counts={"test": 1}, data_dir=tmp_path)
