# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import functools
import math

import numpy as np
import pytest

from mugv_jax.data.buckets import fill_buckets
from mugv_jax.data.data_config import DataConfig
from mugv_jax.data.describe import cropped_share, describe, describe_source, padding_share
from mugv_jax.data.schedule import SinglePass, make_schedule, permutation, proportional_order
from mugv_jax.nn.mugdit.sizes import DiTConfig
from mugv_jax.systems.mugv import cost as flops
from tests.data.sources import TOKENS, mixture, source_of

MODEL = DiTConfig(depth=56, width=3456, num_heads=48)
IMBALANCE = 0.03  # largest excess of the busiest data shard over the mean
PADDING = 0.05  # largest share of padding tokens
PATCH = MODEL.patch
SMALL = ((1, 4, 4),) * 7 + ((2, 4, 4),) * 12 + ((3, 4, 6),) * 5


def schedule_of(source, *, shards=2, total_steps=60, seed=0, accumulation=1, **fields):
    config = DataConfig(**{"tokens_per_shard": 60_000, **fields})
    members = np.arange(len(source), dtype=np.int32)
    return make_schedule(
        fill_buckets(source.shapes, source.names, members, config, TOKENS),
        config,
        shards=shards,
        total_steps=total_steps,
        seed=seed,
        names=source.names,
        accumulation=accumulation,
    )


def worst_imbalance(cost_of_shards):
    """Largest excess of the busiest shard over the mean in any step, relative to the mean."""
    return max(float(np.max(cost) / np.mean(cost)) - 1 for cost in cost_of_shards)


@functools.cache
def cost(*shape):
    return flops.dit_forward(MODEL, shape, 300)


@pytest.mark.parametrize("shards", [8, 64])
def test_shards_have_equal_work(shards):
    """7 aspect ratios, 1-5 s, 360p and 720p, and pictures; floating point operations of 10B."""
    source = mixture(3000, seed=2)
    schedule = schedule_of(source, shards=shards, total_steps=150)
    costs, useful, spent = [], 0, 0
    for step in range(len(schedule)):
        turn = schedule[step]
        parts = [turn.local(shards, range(shard, shard + 1)) for shard in range(shards)]
        assert sum(len(part.samples) for part in parts) == schedule.batch(turn.bucket)
        # Samples are cropped to their bucket, so they must be at least as large.
        kept = [np.minimum(source.shapes[part.samples], turn.bucket.shape) for part in parts]
        costs.append([sum(cost(*shape) for shape in each.tolist()) for each in kept])
        useful += sum(float(each.prod(axis=1).sum()) for each in kept)
        spent += len(turn.samples) * (turn.bucket.tokens - 2) * 4
    assert worst_imbalance(costs) <= IMBALANCE
    assert 1 - useful / spent <= PADDING

    rng = np.random.default_rng(0)  # the measure detects the cost of random draws
    blind = [cost(*shape) for shape in source.shapes[rng.integers(0, 3000, shards * 8)].tolist()]
    assert worst_imbalance([np.reshape(blind, (shards, 8)).sum(axis=1)]) > 10 * IMBALANCE


def test_odd_sides_cost_little_padding():
    shapes = ((3, 45, 80), (14, 90, 160), (5, 45, 45))
    assert max(padding_share(shape, PATCH) for shape in shapes) <= PADDING
    assert padding_share((3, 5, 6), (1, 2, 4)) == 1 - 5 * 6 / (6 * 8)


def test_processes_agree_and_share_the_rows():
    source = mixture(400, seed=3)
    mine, theirs = (schedule_of(source, shards=8, accumulation=2) for _ in range(2))
    assert mine.digest == theirs.digest
    for step in range(0, len(mine), 7):
        whole = mine[step].samples
        first, second = (theirs[step].local(8, part) for part in (range(3), range(3, 8)))
        assert np.array_equal(np.concatenate([first.samples, second.samples]), whole)
        assert 5 * len(first.samples) == 3 * len(second.samples)


def test_another_mesh_with_as_many_samples_trains_on_the_same():
    source = mixture(400, seed=3)
    wide = schedule_of(source, shards=8)
    deep = schedule_of(source, shards=2, accumulation=4)
    assert wide.digest == deep.digest
    assert all(np.array_equal(wide[i].samples, deep[i].samples) for i in range(len(wide)))


def test_every_sample_is_seen_before_any_is_seen_twice():
    schedule = schedule_of(source_of(*SMALL), tokens_per_shard=20, total_steps=300)
    seen = np.zeros(len(SMALL), int)
    for step in range(len(schedule)):
        turn = schedule[step]
        np.add.at(seen, turn.samples, 1)
        assert np.ptp(seen[turn.bucket.members]) <= 1
    assert seen.min() > 20
    # Equally often across buckets too, up to one step of the largest batch.
    assert seen.max() - seen.min() <= 1 + 4 / 5 + 4 / 7


def test_epochs_differ_and_the_seed_decides():
    orders = [permutation(50, seed, (2, 4, 4), epoch) for seed in (0, 1) for epoch in (0, 1)]
    assert all(sorted(order.tolist()) == list(range(50)) for order in orders)
    assert len({order.tobytes() for order in orders}) == 4
    one, other = (schedule_of(source_of(*SMALL), seed=seed) for seed in (0, 1))
    assert one.digest != other.digest


def test_more_steps_begin_with_the_same_ones():
    source = mixture(300, seed=4)
    short, long = (schedule_of(source, total_steps=steps) for steps in (40, 90))
    assert short.digest == long.digest
    assert all(np.array_equal(short[i].samples, long[i].samples) for i in range(40))


@pytest.mark.parametrize("number", [1, 2, 3, 20])
def test_no_bucket_lags_or_leads_by_one_step(number):
    """Tijdeman's bound, 1 - 1 / (2n - 2)."""
    rng = np.random.default_rng(number)
    share = rng.dirichlet(np.full(number, 0.3))
    share /= math.fsum(share)
    order = proportional_order(share, 2000)
    had = np.cumsum(order[:, None] == np.arange(number), axis=0)
    owed = np.arange(1, 2001)[:, None] * share
    bound = 1 - 1 / (2 * number - 2) if number > 1 else 0
    assert np.abs(had - owed).max() <= bound + 1e-6  # rounding of the running sums


def test_image_share_is_followed_while_it_moves():
    share = {"image_share": (0.8, 0.1), "image_share_steps": 200}
    schedule = schedule_of(source_of(*SMALL), tokens_per_shard=20, total_steps=300, **share)
    is_image = np.array([schedule[step].bucket.is_image for step in range(300)])
    share = 0.8 - 0.7 * np.minimum(np.arange(300) / 200, 1)
    assert np.abs(np.cumsum(is_image) - np.cumsum(share)).max() <= 0.5 + 1e-6


@pytest.mark.parametrize(
    ("shapes", "share", "what"),
    [(SMALL[:7], (1.0, 0.5), "clips"), (SMALL[7:], (0.0, 0.1), "images")],
)
def test_asking_for_what_is_not_there_is_an_error(shapes, share, what):
    with pytest.raises(ValueError, match=f"no bucket holds {what}"):
        schedule_of(source_of(*shapes), image_share=share, image_share_steps=50)


def test_a_single_pass_counts_every_sample_once():
    schedule = schedule_of(source_of(*SMALL), tokens_per_shard=24, shards=3)
    sweep = SinglePass(schedule.buckets, 3)
    counted = np.concatenate(
        [turn.samples[~turn.fill] for turn in map(sweep.__getitem__, range(len(sweep)))]
    )
    assert sorted(counted.tolist()) == list(range(len(SMALL)))
    for step in range(len(sweep)):
        turn = sweep[step]
        assert len(turn.samples) % 3 == 0
        assert set(turn.samples.tolist()) <= set(turn.bucket.members.tolist())
        assert turn.fill.sum() < 3 * turn.bucket.rows


def test_the_description_tells_what_a_run_costs():
    source = source_of(*SMALL, (3, 5, 6))
    schedule = schedule_of(
        source, tokens_per_shard=20, shards=4, total_steps=2, shapes=tuple(set(SMALL))
    )
    lines = describe(schedule, patch=PATCH)
    assert len(lines) == 1 + 3 + 3
    steps = [int(line.split()[4]) for line in lines[1:4]]
    assert steps == np.bincount(schedule.bucket_of_step, minlength=3).tolist()
    shape, samples, rows, tokens = lines[3].split()[:4]
    assert (shape, samples, rows, tokens) == ("3x4x6", "6", "1", "20")
    cropped = 3 * 1 * 6 / (5 * 72 + 90)
    assert lines[3].endswith(f"{cropped:.1%}")
    whole = 7 * 16 + 12 * 32 + 5 * 72 + 90
    assert cropped_share(schedule.buckets) == pytest.approx(18 / whole)
    assert "25 samples in 3 buckets, 2 steps on 4 data shards" in lines[4]
    assert "not reached" in lines[5]
    assert "1 bucket(s) hold fewer samples than one step takes" in lines[6]


def test_data_is_described_without_a_run():
    config = DataConfig(tokens_per_shard=20)
    lines = describe_source(source_of(*SMALL), config, shards=2, tokens=TOKENS, patch=PATCH)
    epochs = [float(line.split()[6]) for line in lines[1:4]]
    assert sum(int(line.split()[4]) for line in lines[1:4]) == 7  # 7/6 + 12/4 + 5/2 steps
    assert min(epochs) >= 0.6
    assert max(epochs) <= 2
