# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Sources in turn: exact shares, batches of each in their own order, exact resume."""

import collections

import pytest

from mugv_jax.data.data_config import DataConfig
from mugv_jax.data.interleave import interleaved_batches, source_of, source_order
from tests.data.sources import source_of as samples_of
from tests.data.test_batches import batches_of

SHARES = {"labels": 1, "pairs": 3, "real": 2}
CONFIG = DataConfig(threads=0, prefetch=0)


def mixed(steps=12, shares=None):
    """Batches of sources of different sizes."""
    shares = SHARES if shares is None else shares
    order = source_order(shares, steps).tolist()
    parts = {
        name: batches_of(samples_of(*[(3, 4, 4)] * (6 + 2 * i)), total_steps=order.count(i))
        for i, name in enumerate(shares)
    }
    return interleaved_batches(parts, shares, CONFIG), parts


def told(batch):
    return source_of(batch), batch["sample"].tolist()


def test_every_cycle_holds_the_shares_exactly_and_a_longer_run_begins_like_a_shorter_one():
    order = source_order(SHARES, 60)
    for cycle in order.reshape(10, 6):
        assert sorted(cycle) == [0, 1, 1, 1, 2, 2]
    assert source_order(SHARES, 600)[:60].tolist() == order.tolist()


def test_each_source_goes_through_its_own_batches_in_order():
    batches, parts = mixed()
    found = collections.defaultdict(list)
    for batch in batches:
        name, samples = told(batch)
        found[name].append(samples)
    expected = {name: [each["sample"].tolist() for each in part] for name, part in parts.items()}
    assert found == expected
    assert [len(found[name]) for name in SHARES] == [2, 6, 4]


def test_a_resumed_run_continues_with_the_next_batch_also_if_it_became_longer(caplog):
    whole = [told(batch) for batch in mixed(24)[0]]
    first, _ = mixed(12)
    seen = [told(next(first)) for _ in range(5)]
    resumed, _ = mixed(24)
    resumed.set_state(first.get_state())
    assert seen + [told(batch) for batch in resumed] == whole
    assert not caplog.records
    other, _ = mixed(24, {**SHARES, "real": 1})
    other.set_state(first.get_state())
    assert "training continues at step 5 of the new order" in caplog.text


def test_a_single_source_without_a_name_is_left_as_it_is():
    part = batches_of(total_steps=4)
    assert interleaved_batches({"": part}, {"": 1}, CONFIG) is part
    assert source_of(next(part)) == ""


def test_a_run_too_short_for_its_sources_is_refused():
    with pytest.raises(ValueError, match=r"run.steps=2 takes no batch of labels: .* has 6 batches"):
        source_order(SHARES, 2)
