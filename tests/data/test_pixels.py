# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import dataclasses

import numpy as np
import pytest
import tensorflow_datasets as tfds

from mugv_jax.data.bad_sample import BadSample
from mugv_jax.data.pixels import PixelConfig, PixelSteps, cut, held_out_clips, open_pixels
from tests.train.vae.runs import moving_square, write_clips

CONFIG = PixelConfig(size=(16, 16), frames=9, read_frames=17, rows=2, picture_rows=3)


class Squares(tfds.core.GeneratorBasedBuilder):
    """Clips for a test."""

    VERSION = tfds.core.Version("1.0.0")
    code_path = None  # there are no checksums of downloads

    def _info(self):
        features = {"video": tfds.features.Tensor(shape=(17, 16, 16, 3), dtype=np.uint8)}
        return tfds.core.DatasetInfo(
            builder=self,
            description="Squares.",
            features=tfds.features.FeaturesDict(features),
            disable_shuffling=True,
        )

    def _split_generators(self, _):
        return {"train": self._generate_examples(3), "validation": self._generate_examples(2)}

    def _generate_examples(self, count):
        for seed in range(count):
            yield seed, {"video": moving_square(seed=seed)}


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    builder = Squares(data_dir=tmp_path_factory.mktemp("tfds"), file_format="array_record")
    builder.download_and_prepare()
    return str(builder.data_dir)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return str(write_clips(tmp_path_factory.mktemp("clips") / "files"))


def steps(path, total=40, config=CONFIG, local=(0,), seed=0):
    return PixelSteps(open_pixels([path], "train", config), config, local, total, seed)


def test_steps_mix_clips_and_pictures_and_depend_on_their_number_alone(files):
    first, again = steps(files), steps(files)
    shapes = {first[i]["frames"].shape for i in range(20)}
    assert shapes == {(2, 9, 16, 16, 3), (3, 1, 16, 16, 3)}
    for i in (7, 3, 7):
        np.testing.assert_array_equal(first[i]["frames"], again[i]["frames"])
    assert any(
        not np.array_equal(first[i]["frames"], steps(files, seed=1)[i]["frames"]) for i in range(4)
    )


def test_a_shard_reads_the_same_whoever_reads_it(files):
    both, second = steps(files, local=(0, 1)), steps(files, local=(1,))
    for i in range(4):
        np.testing.assert_array_equal(np.split(both[i]["frames"], 2)[1], second[i]["frames"])


def test_pictures_are_drawn_from_all_samples_and_clips_from_videos(files):
    found = steps(files, config=dataclasses.replace(CONFIG, picture_share=0.5))
    drawn = {1: set(), 9: set()}
    for i in range(12):
        drawn[found[i]["frames"].shape[1]] |= set(found[i]["sample"].tolist())
    assert drawn == {1: {0, 1, 2, 3}, 9: {0, 1, 2}}


def test_records_are_read_by_split(records):
    source = open_pixels([records], "validation", CONFIG)
    assert len(source) == len(source.clips) == 2
    np.testing.assert_array_equal(source[1], moving_square(seed=1))
    with pytest.raises(ValueError, match=r"has splits train, validation .* in the split 'test'"):
        open_pixels([records], "test", CONFIG)


def test_held_out_clips_are_cut_in_the_middle(records):
    config = dataclasses.replace(CONFIG, paths=(records,), size=(8, 8), holdout_clips=1)
    assert held_out_clips(config) == []
    config = dataclasses.replace(config, holdout_split="validation")
    (clip,) = held_out_clips(config)
    np.testing.assert_array_equal(clip, moving_square()[:9, 4:12, 4:12])
    with pytest.raises(ValueError, match="no held-out clip has 99 frames"):
        held_out_clips(dataclasses.replace(config, frames=99, read_frames=105))


def test_sources_are_joined_in_order(records, files):
    source = open_pixels([files, records], "train", CONFIG)
    assert len(source) == 7
    assert source.clips == [0, 1, 2, 4, 5, 6]
    np.testing.assert_array_equal(source[5], moving_square(seed=1))


def test_a_cut_lies_inside_and_small_clips_are_told():
    frames = np.arange(4 * 5 * 6 * 3, dtype=np.uint8).reshape(4, 5, 6, 3)
    part = cut(frames, np.random.default_rng(0), 2, (4, 3))
    assert part.shape == (2, 3, 4, 3)
    assert np.isin(part[..., 0], frames[..., 0]).all()
    with pytest.raises(BadSample, match=r"\(4, 5, 6\), less than \(5, 3, 4\)"):
        cut(frames, np.random.default_rng(0), 5, (4, 3))


def test_clips_that_are_all_too_short_end_the_run(records):
    short = steps(records, config=dataclasses.replace(CONFIG, frames=18, read_frames=25))
    with pytest.raises(ValueError, match="16 samples drawn one after the other cannot be used"):
        [short[i] for i in range(10)]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"rows": 0}, "rows=0 must be at least 1"),
        ({"read_frames": 16}, "read_frames=16 reads 9 frames of a video, .* frames=10 must"),
        ({"picture_share": 1.5}, r"must lie in \[0, 1\]"),
    ],
)
def test_values_are_checked(fields, says):
    with pytest.raises(ValueError, match=says):
        dataclasses.replace(CONFIG, **{"frames": 10, **fields})


def test_folders_are_checked(tmp_path):
    with pytest.raises(ValueError, match=r"data\.paths is empty"):
        open_pixels([], "train", CONFIG)
    with pytest.raises(ValueError, match="is not a folder"):
        open_pixels([str(tmp_path / "none")], "train", CONFIG)
    with pytest.raises(ValueError, match="holds no video or picture"):
        open_pixels([str(tmp_path)], "train", CONFIG)
