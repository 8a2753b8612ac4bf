# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The queue on disk."""

import subprocess
import sys

import pytest

from mugv_jax.serve.videos.store import (
    CANCELLED,
    COMPLETED,
    FAILED,
    IN_PROGRESS,
    MOST_ATTEMPTS,
    QUEUED,
    Store,
)


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path)
    yield store
    store.close()


def added(store, *names, owner="anna", shape="s"):
    return [store.add(name, owner, shape, {"prompt": name}) for name in names]


def test_requests_are_made_in_the_order_in_which_they_came(store):
    a, b = added(store, "a", "b")
    assert (store.position(a), store.position(b)) == (1, 2)
    assert [entry.id for entry in store.claim(1)] == ["a"]
    assert store.get("a").state == IN_PROGRESS
    assert store.position(store.get("a")) is None
    assert store.position(b) == 1
    assert store.finish("a", COMPLETED).completed_at >= store.get("a").started_at
    assert [entry.id for entry in store.claim(1)] == ["b"]
    assert store.claim(1) == []


@pytest.mark.parametrize(("most", "sizes"), [(1, [1, 1, 1]), (2, [2, 1]), (8, [2, 1]), (4, [2, 1])])
def test_requests_of_one_shape_are_made_together(store, most, sizes):
    added(store, "a", "b", "c")
    added(store, "d", shape="other")
    taken = []
    while entries := store.claim(most):
        assert len({entry.shape for entry in entries}) == 1
        taken.append(len(entries))
    assert taken == [*sizes, 1]


def test_an_ended_request_ends_once(store):
    added(store, "a")
    assert store.finish("a", CANCELLED, code="cancelled", message="m").error_code == "cancelled"
    assert store.finish("a", COMPLETED) is None
    assert store.get("a").state == CANCELLED
    assert store.finish("unknown", COMPLETED) is None


def test_a_request_whose_worker_dies_is_tried_alone_and_not_for_ever(store):
    added(store, "a", "b")
    assert len(store.claim(2)) == 2
    for attempt in range(1, MOST_ATTEMPTS):
        assert {entry.state for entry in store.requeue(counted=True)} == {QUEUED}
        assert store.get("a").attempts == attempt
        assert [entry.id for entry in store.claim(2)] == ["a"]
        store.finish("b", CANCELLED)
    (entry,) = store.requeue(counted=True)
    assert (entry.state, entry.error_code) == (FAILED, "worker_ended")
    assert f"{MOST_ATTEMPTS} times" in entry.error_message


def test_a_server_that_is_stopped_costs_no_attempt(store):
    added(store, "a")
    store.claim(1)
    store.requeue(counted=False)
    assert store.get("a").attempts == 0
    assert store.get("a").state == QUEUED


def test_pages_are_of_one_owner(store):
    added(store, "a", "b", "c")
    added(store, "other", owner="ben")
    assert [entry.id for entry in store.page("anna", limit=2)] == ["c", "b"]
    after = store.get("b").number
    assert [entry.id for entry in store.page("anna", limit=2, after=after)] == ["a"]
    oldest = store.page("anna", limit=9, newest_first=False)
    assert [entry.id for entry in oldest] == ["a", "b", "c"]
    assert store.count(QUEUED, owner="ben") == 1
    assert store.count(QUEUED) == 4


def test_what_was_accepted_survives_a_kill(tmp_path):
    code = f"""
import os, signal
from pathlib import Path
from mugv_jax.serve.videos.store import Store

store = Store(Path({str(tmp_path)!r}))
store.add("kept", "anna", "s", {{}})
store._database.execute("BEGIN IMMEDIATE")
store._database.execute("UPDATE videos SET state = 'completed'")
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code], timeout=60)
    assert done.returncode == -9
    store = Store(tmp_path)
    assert store.get("kept").state == QUEUED
    store.close()
