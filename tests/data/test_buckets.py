# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import itertools
import math

import numpy as np
import pytest

from mugv_jax.data.buckets import assign, fill_buckets
from mugv_jax.data.choose import choose_shapes, fits
from mugv_jax.data.data_config import DataConfig
from tests.data.sources import TOKENS, mixture, source_of


def fill(source, **fields):
    config = DataConfig(**{"tokens_per_shard": 60_000, **fields})
    return fill_buckets(source.shapes, source.names, np.arange(len(source)), config, TOKENS)


def test_few_shapes_stay_as_they_are():
    buckets = fill(source_of((2, 4, 6), (1, 4, 6), (2, 4, 6), (5, 6, 4)), tokens_per_shard=33)
    assert [bucket.shape for bucket in buckets] == [(1, 4, 6), (2, 4, 6), (5, 6, 4)]
    assert [bucket.members.tolist() for bucket in buckets] == [[1], [0, 2], [3]]
    assert [bucket.tokens for bucket in buckets] == [8, 14, 32]
    assert [bucket.rows for bucket in buckets] == [4, 2, 1]
    assert [bucket.cropped for bucket in buckets] == [0, 0, 0]
    buckets = fill(source_of((2, 4, 6), (1, 4, 6)), tokens_per_shard=33, max_rows=3)
    assert [bucket.rows for bucket in buckets] == [3, 2]


def test_a_sample_goes_to_the_largest_bucket_it_covers():
    shapes = np.array([(5, 8, 8), (4, 8, 8), (2, 8, 8), (5, 8, 5), (5, 20, 20), (1, 8, 8)])
    place = assign(shapes, [(1, 8, 8), (2, 8, 8), (4, 8, 8)], crop_limit=0.3)
    assert place.tolist() == [2, 2, 1, 3, 3, 0]  # too narrow; too much cropped


def test_clips_never_become_images():
    assert not fits(np.array([(9, 8, 8)]), np.array((1, 8, 8)), 0.3).any()
    assert fits(np.array([(9, 8, 8)]), np.array((2, 8, 8)), 0.3).all()


def test_listed_shapes_are_used_and_what_fits_none_is_named(caplog):
    source = source_of((9, 8, 8), (4, 8, 8), (3, 8, 8), (9, 30, 30))
    (bucket,) = fill(source, shapes=((4, 8, 8), (50, 8, 8)))
    assert bucket.members.tolist() == [0, 1]
    assert bucket.cropped == pytest.approx(1 - 2 * 4 / 13)
    assert "2 of 4 samples" in caplog.text
    assert "sample-2, sample-3" in caplog.text


def test_many_shapes_become_few_with_bounded_cropping():
    source = mixture(2000, seed=1)
    rare_share = 0.01  # samples of shapes too rare for a bucket of their own
    cropped = []
    for number in (16, 32, 64):
        buckets = fill(source, max_buckets=number)
        assert len(buckets) <= number
        members = np.concatenate([bucket.members for bucket in buckets])
        assert len(members) == len(np.unique(members))
        if number >= 32:
            assert len(members) >= (1 - rare_share) * len(source)
        for bucket in buckets:
            assert fits(source.shapes[bucket.members], np.array(bucket.shape), 0.3).all()
        kept = sum(len(b.members) * math.prod(b.shape) for b in buckets)
        cropped.append(1 - kept / source.shapes[members].prod(axis=1).sum())
    assert cropped == sorted(cropped, reverse=True)
    assert cropped[-1] < 0.2


def test_the_choice_is_near_the_best_there_is():
    rng = np.random.default_rng(0)
    shapes = np.unique(rng.integers((2, 4, 4), (6, 7, 7), (12, 3)), axis=0)
    counts = rng.integers(1, 20, len(shapes))

    def kept(buckets):
        volumes = [np.prod(b) * fits(shapes, np.array(b), 0.3) for b in buckets]
        return float(counts @ (np.max(volumes, axis=0) / shapes.prod(axis=1)))

    chosen = choose_shapes(shapes, counts, 3, 0.3)
    native = [tuple(shape) for shape in shapes.tolist()]
    best_native = max(map(kept, itertools.combinations(native, 3)))
    assert kept(chosen) >= 0.98 * best_native  # exchanges stop at a local optimum


def test_images_and_clips_share_the_buckets():
    images = [(1, 40 + i % 8, 40) for i in range(2000)]
    clips = [(2, 40 + i, 40) for i in range(8)]
    buckets = fill(source_of(*images, *clips), max_buckets=4)
    kinds = [bucket.is_image for bucket in buckets]
    assert kinds.count(True) == kinds.count(False) == 2


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"tokens_per_shard": 40}, r"sample-1 .*\(4, 8, 8\).* 66 tokens.*=40"),
        ({"tokens_per_shard": 40, "shapes": ((4, 8, 8),)}, r"\(4, 8, 8\) needs 66 tokens"),
        ({"shapes": ((9, 9, 9),)}, "none of 3 samples"),
    ],
)
def test_what_cannot_be_trained_on_is_an_error(fields, message):
    with pytest.raises(ValueError, match=message):
        fill(source_of((2, 8, 8), (4, 8, 8), (2, 8, 8)), **fields)


def test_no_samples_is_an_error():
    with pytest.raises(ValueError, match="no sample"):
        fill(source_of((2, 8, 8)).__class__(np.zeros((0, 3), np.int32)))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"tokens_per_shard": 0}, "tokens_per_shard=0"),
        ({"holdout": 1.0}, "holdout=1.0"),
        ({"crop_limit": -0.1}, "crop_limit=-0.1"),
        ({"shapes": ((4, 8),)}, r"shapes holds \(4, 8\)"),
        ({"image_share": (0.5,)}, "image_share"),
        ({"image_share": (0.5, 1.5)}, "image_share"),
        ({"threads": -1}, "threads=-1"),
    ],
)
def test_values_out_of_range_are_named(fields, message):
    with pytest.raises(ValueError, match=message):
        DataConfig(**fields)
