# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Orders and sides, assignments with a time limit, answers that count once, and undo."""

import collections
import threading

import pytest

from mugv_jax.serve.label import tasks as tasks_module
from mugv_jax.serve.label.plan import order_of, side_of, swapped, verdict_of
from mugv_jax.serve.label.questions import ECOMMERCE, SINGLE
from mugv_jax.serve.label.store import Store
from mugv_jax.serve.label.tasks import Conflict, Unknown
from tests.serve.label.sets import answer_all, labelset, tasks_of


@pytest.fixture
def clock(monkeypatch):
    """The time of assignments; `clock[0] += 60` moves it on."""
    now = [1000.0]
    monkeypatch.setattr(tasks_module.time, "time", lambda: now[0])
    return now


def test_orders_differ_between_annotators_and_are_those_of_the_seed():
    made = labelset(count=40)
    orders = {name: [item.id for item in order_of(made, name)] for name in "abc"}
    assert len({tuple(order) for order in orders.values()}) == 3
    assert all(sorted(order) == sorted(item.id for item in made.items) for order in orders.values())
    assert [item.id for item in order_of(labelset(count=40), "a")] == orders["a"]
    assert [item.id for item in order_of(labelset(count=40, seed=1), "a")] != orders["a"]


def test_sides_are_drawn_for_each_annotator_and_item():
    made = labelset(count=200)
    sides = [[swapped(made, name, item) for item in made.items] for name in "ab"]
    assert 70 < sum(sides[0]) < 130  # of 200 fair draws, outside for 1 of 50,000 seeds
    assert 70 < sum(a != b for a, b in zip(*sides, strict=True)) < 130
    assert not any(swapped(labelset(SINGLE), "a", item) for item in labelset(SINGLE).items)


@pytest.mark.parametrize("left", [0, 1])
@pytest.mark.parametrize("side", ["left", "same", "right"])
def test_a_side_stands_for_a_video(side, left):
    verdict = verdict_of(side, left)
    assert side_of(verdict, left) == side
    videos = ("first", "second")
    assert verdict == {"left": videos[left], "same": "same", "right": videos[1 - left]}[side]


def test_golden_items_are_mixed_in_evenly():
    golden = {i: {"overall": "first"} for i in range(4)}
    order = order_of(labelset(count=44, golden=golden, golden_every=11), "a")
    places = [place for place, item in enumerate(order) if item.known]
    assert len(order) == 44
    assert [place // 11 for place in places] == [0, 1, 2, 3]


def test_every_item_gets_its_annotators_and_no_more(tmp_path):
    made = labelset(count=5, annotators=2, golden={0: {"overall": "first"}})
    tasks = tasks_of(tmp_path, made)
    counts = [answer_all(tasks, name, lambda *_: "same") for name in "abc"]
    assert counts == [20, 20, 4]  # of the last one, only about the golden item
    by_item = collections.Counter(each.item for each in Store(tmp_path).answers())
    assert [by_item[item.id] for item in made.items] == [12, 8, 8, 8, 8]
    assert tasks.give("a").state == "finished"


def test_what_others_hold_is_not_given_until_its_time_is_over(tmp_path, clock):
    tasks = tasks_of(tmp_path, labelset(SINGLE, count=2, annotators=1), lease_s=60)
    assert len(tasks.give("a", 2).tasks) == 2
    waiting = tasks.give("b", 2)
    assert (waiting.tasks, waiting.state) == ([], "waiting")
    clock[0] += 61
    assert len(tasks.give("b", 2).tasks) == 2
    # What the first annotator has seen is still taken: it is work that was done.
    (item, _) = tasks.labelset.items
    assert tasks.answer("a", "late", item.id, "prompt", "pass").answer == "pass"


def test_tasks_that_were_begun_come_first_and_survive_a_restart(tmp_path):
    made = labelset(count=8)
    tasks = tasks_of(tmp_path, made)
    first, second = tasks.give("a", 2).tasks
    tasks.answer("a", "1", second.item.id, "overall", "left")
    again = tasks_of(tmp_path, made).give("a", 2)
    assert [task.item for task in again.tasks] == [first.item, second.item]
    assert again.tasks[1].answered == {"overall": "left"}
    assert again.last is not None
    assert again.last[0].id == "1"


def test_an_answer_that_is_sent_again_counts_once(tmp_path):
    tasks = tasks_of(tmp_path, labelset())
    (task, *_) = tasks.give("a").tasks
    one = tasks.answer("a", "x", task.item.id, "overall", "left", 1.5)
    assert tasks.answer("a", "x", task.item.id, "overall", "left", 1.5) == one
    with pytest.raises(Conflict, match="another answer"):
        tasks.answer("a", "x", task.item.id, "overall", "right")
    with pytest.raises(Conflict, match="already"):
        tasks.answer("a", "y", task.item.id, "overall", "left")
    assert [each.id for each in Store(tmp_path).answers()] == ["x"]


def test_only_the_last_answer_is_taken_back_and_a_late_retry_does_not_bring_it_back(tmp_path):
    made = labelset()
    tasks = tasks_of(tmp_path, made)
    (task, *_) = tasks.give("a").tasks
    for name in ("aesthetics", "overall"):
        tasks.answer("a", name, task.item.id, name, "left")
    with pytest.raises(Conflict, match="last"):
        tasks.undo("a", "aesthetics")
    with pytest.raises(Unknown):
        tasks.undo("b", "overall")
    for _ in range(2):
        assert tasks.undo("a", "overall").answered == {"aesthetics": "left"}
    assert tasks.answer("a", "overall", task.item.id, "overall", "left").undone is not None
    assert tasks.give("a").tasks[0].answered == {"aesthetics": "left"}
    tasks.answer("a", "new", task.item.id, "overall", "right")
    assert tasks_of(tmp_path, made).give("a").tasks[0].answered["overall"] == "right"


def test_what_was_not_given_or_cannot_be_is_refused(tmp_path):
    tasks = tasks_of(tmp_path, labelset())
    (task, *_) = tasks.give("a").tasks
    with pytest.raises(Unknown, match="not given"):
        tasks.answer("b", "x", task.item.id, "overall", "left")
    with pytest.raises(Unknown, match="no question"):
        tasks.answer("a", "x", task.item.id, "colour", "left")
    with pytest.raises(Unknown, match="not given"):
        tasks.answer("a", "x", "nothing", "overall", "left")
    with pytest.raises(ValueError, match="'first' must be one of left, same, right"):
        tasks.answer("a", "x", task.item.id, "overall", "first")
    with pytest.raises(ValueError, match="id of an answer"):
        tasks.answer("a", "x" * 65, task.item.id, "overall", "left")
    with pytest.raises(ValueError, match="seconds=-1"):
        tasks.answer("a", "x", task.item.id, "overall", "left", -1)
    assert not Store(tmp_path).answers()


def test_a_stage_opens_for_what_passed_the_one_before_by_consensus(tmp_path):
    made = labelset(ECOMMERCE, count=3, annotators=3)
    tasks = tasks_of(tmp_path, made)
    votes = {"item0": "abc", "item1": "ab", "item2": "a"}  # who passes it

    def choose(name):
        return lambda task, _: "pass" if name in votes[task.item.name] else "fail"

    for name in "abcabc":  # again, for stages that others' answers have opened
        answer_all(tasks, name, choose(name))
    found = collections.Counter(
        (each.item[-1], each.question) for each in Store(tmp_path).answers()
    )
    assert found["0", "natural"] == found["1", "natural"] == found["2", "natural"] == 3
    assert found["0", "product"] == found["0", "quality"] == 3
    assert found["1", "product"] == found["1", "quality"] == 3
    assert ("2", "product") not in found


def test_answers_of_many_at_once_are_all_kept(tmp_path):
    tasks = tasks_of(tmp_path, labelset(SINGLE, count=10, annotators=4))
    threads = [
        threading.Thread(target=answer_all, args=(tasks, name, lambda *_: "pass"))
        for name in ("a", "b", "c", "d")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(Store(tmp_path).answers()) == 10 * 4 * 3


def test_tokens_are_kept_as_digests_and_end_with_the_next_one(tmp_path):
    store = Store(tmp_path)
    token = store.add_annotator("anna")
    assert store.annotator_of(token) == "anna"
    assert store.annotator_of(token[:-1]) is None
    assert not any(token.encode() in file.read_bytes() for file in tmp_path.iterdir())
    with pytest.raises(ValueError, match="'anna' has a token already"):
        store.add_annotator("anna")
    other = Store(tmp_path).add_annotator("anna", replace=True)  # as another process
    assert store.annotator_of(token) is None
    assert store.annotator_of(other) == "anna"
    with pytest.raises(ValueError, match="must be 1 to 64 letters"):
        store.add_annotator("a b")


def test_a_damaged_database_is_refused(tmp_path):
    (tmp_path / "labels.sqlite").write_bytes(b"no database" * 1000)
    with pytest.raises(ValueError, match=r"labels.sqlite cannot be used"):
        Store(tmp_path)


def test_the_database_waits_for_the_disk(tmp_path):
    store = Store(tmp_path)
    assert store._base.execute("PRAGMA synchronous").fetchone() == (2,)
    assert store._base.execute("PRAGMA journal_mode").fetchone() == ("wal",)
