# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import threading
import time

import numpy as np
import pytest

from mugv_jax.data.batches import make_batches
from mugv_jax.data.data_config import DataConfig
from mugv_jax.data.placement import PlacedBatches
from mugv_jax.sharding.mesh import make_mesh
from mugv_jax.sharding.place import batch_sharding
from tests.data.sources import TOKENS, MemorySource, source_of

SHAPES = ((1, 4, 4),) * 7 + ((2, 4, 4),) * 12
STEPS = 9
SHARDS = 4
DEADLINE_S = 20  # far above what anything here takes


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
        next(resumed)  # it had run ahead
        resumed.set_state(state)
        assert resumed.get_state() == state
        assert [batch["sample"].tolist() for batch in resumed] == expected[done:]


class GatedSource(MemorySource):
    """Reads only while its gate is open."""

    def __getitem__(self, index):
        assert self.gate.wait(DEADLINE_S)
        return super().__getitem__(index)


def test_batches_are_read_and_placed_while_the_consumer_works(placed):
    source = GatedSource(np.array(SHAPES, np.int32))
    source.gate = threading.Event()
    source.gate.set()
    batches = placed(source, threads=0, prefetch=0)
    next(batches)
    read_by_now, until = [], time.monotonic() + DEADLINE_S
    while len(read_by_now) < 3 and time.monotonic() < until:
        time.sleep(0.01)
        ahead = np.cumsum([0, *(len(batches._batches.schedule[i].samples) for i in range(3))])
        read_by_now = [rows for rows in ahead[1:].tolist() if len(source.reads) >= rows]
    assert len(read_by_now) == 3  # the one delivered and two ahead


def test_waiting_is_measured(placed):
    source = GatedSource(np.array(SHAPES, np.int32))
    source.gate = threading.Event()
    batches = placed(source, threads=0, prefetch=0)
    closed_s = 0.1
    threading.Timer(closed_s, source.gate.set).start()
    next(batches)
    first = batches.waited_s
    assert closed_s / 2 < first < DEADLINE_S
    next(batches)
    assert batches.waited_s > first


def test_errors_of_reading_reach_the_consumer(placed):
    broken = source_of(*SHAPES, broken=frozenset({0, 1}))
    with pytest.raises(ValueError, match=r"2 samples cannot be read.*max_bad=1"):
        list(placed(broken, max_bad=1))


def test_a_depth_below_one_is_an_error(mesh):
    with pytest.raises(ValueError, match="depth=0"):
        PlacedBatches(batches_of(), mesh, depth=0)
