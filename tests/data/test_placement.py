# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import itertools
import threading
import types

import numpy as np
import pytest

from mugv_jax.data import placement
from mugv_jax.data.batches import make_batches
from mugv_jax.data.data_config import DataConfig
from mugv_jax.data.placement import PlacedBatches
from mugv_jax.sharding.mesh import make_mesh
from mugv_jax.sharding.place import batch_sharding
from tests.data.sources import TOKENS, MemorySource, source_of

SHAPES = ((1, 4, 4),) * 7 + ((2, 4, 4),) * 12
STEPS = 9
SHARDS = 4
DEADLINE_S = 600  # a hanging test fails after so long


def batches_of(source=None, **fields):
    config = DataConfig(**{"tokens_per_shard": 10, "text_tokens": 3, **fields})
    return make_batches(
        source_of(*SHAPES) if source is None else source,
        config,
        shards=SHARDS,
        local=range(SHARDS),
        total_steps=STEPS,
        seed=0,
        tokens=TOKENS,
    )


@pytest.fixture(scope="module")
def mesh():
    return make_mesh({"data": 2, "fsdp": 2, "tensor": 2})


@pytest.fixture
def placed(mesh):
    opened = []

    def make(*args, **fields):
        opened.append(PlacedBatches(batches_of(*args, **fields), mesh))
        return opened[-1]

    yield make
    for each in opened:
        each.close()


def test_global_arrays_hold_the_batches(placed, mesh):
    count = 0
    for expected, batch in zip(batches_of(), placed(), strict=True):
        assert expected.keys() == batch.keys()
        for name, array in batch.items():
            assert array.sharding.is_equivalent_to(batch_sharding(mesh, SHARDS), array.ndim)
            assert array.dtype == expected[name].dtype
            assert np.array_equal(array, expected[name])
            shard = array.addressable_shards[0].data
            assert shard.shape == (len(expected[name]) // SHARDS, *array.shape[1:])
        count += 1
    assert count == STEPS


def test_the_state_is_that_of_the_batch_delivered_last(placed):
    expected = [batch["sample"].tolist() for batch in batches_of()]
    for done in (0, 1, 4, STEPS):
        first = placed()
        for _ in range(done):
            next(first)
        first.start_prefetch()
        state = first.get_state()
        assert state["next_step"] == done
        resumed = placed()
        next(resumed)  # it has read ahead
        resumed.set_state(state)
        assert resumed.get_state() == state
        assert [batch["sample"].tolist() for batch in resumed] == expected[done:]


class WatchedSource(MemorySource):
    """Reads only while `gate` is open, and releases `finished` once for every sample."""

    def __init__(self, *args):
        super().__init__(*args)
        self.gate, self.finished = threading.Event(), threading.Semaphore(0)

    def __getitem__(self, index):
        assert self.gate.wait(DEADLINE_S)
        sample = super().__getitem__(index)
        self.finished.release()
        return sample


def test_batches_are_read_and_placed_while_the_consumer_works(placed):
    source = WatchedSource(np.array(SHAPES, np.int32))
    source.gate.set()
    batches = placed(source, threads=0, prefetch=0)
    next(batches)
    delivered_and_two_ahead = [batches._batches.schedule[i].samples for i in range(3)]
    for _ in itertools.chain.from_iterable(delivered_and_two_ahead):
        assert source.finished.acquire(timeout=DEADLINE_S)


def test_waiting_is_measured(placed, monkeypatch):
    """The clock moves one second per reading, so the waits do not depend on the machine."""
    source, seconds = WatchedSource(np.array(SHAPES, np.int32)), itertools.count()

    def perf_counter():
        source.gate.set()
        return float(next(seconds))

    monkeypatch.setattr(placement, "time", types.SimpleNamespace(perf_counter=perf_counter))
    batches = placed(source, threads=0, prefetch=0)
    for delivered in (1, 2):
        next(batches)
        assert batches.waited_s == delivered


def test_errors_of_reading_reach_the_consumer(placed):
    broken = source_of(*SHAPES, broken=frozenset({0, 1}))
    with pytest.raises(ValueError, match=r"2 samples cannot be read.*max_bad=1"):
        list(placed(broken, max_bad=1))


def test_a_depth_below_one_is_an_error(mesh):
    with pytest.raises(ValueError, match="depth=0"):
        PlacedBatches(batches_of(), mesh, depth=0)
