# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Who does what: assignments with a time limit, answers that count once, and undo.

A task is one stage of one item. It is open if the stage before ended in a consensus to pass. An
annotator is given an open task that fewer annotators than wanted have done or hold; a task that is
neither done nor touched for `lease_s` is given to others too. Golden items are for everybody.
"""

import collections
import dataclasses
import threading
import time
from collections.abc import Iterator, Sequence

from mugv_jax.eval.human.consensus import AGREED, UNFINISHED, Consensus, consensus
from mugv_jax.serve.label.labelset import Item, LabelSet
from mugv_jax.serve.label.plan import order_of, side_of, swapped, verdict_of
from mugv_jax.serve.label.questions import PASS
from mugv_jax.serve.label.store import Answer, Assignment, Store

LEASE_S = 1800.0
WORKING, WAITING, FINISHED = "working", "waiting", "finished"
LONGEST_S = 1e6  # for an answer
LONGEST_ID = 64
Key = tuple[str, int]  # id of an item, and stage


class Unknown(LookupError):
    """What was asked for does not exist, or is not this annotator's."""


class Conflict(Exception):
    """The change contradicts one that was made before."""


@dataclasses.dataclass(frozen=True)
class Task:
    """One stage of an item, as an annotator sees it.

    swapped: whether the second video of a pair is on the left.
    answered: the annotator's answers so far, as given: for pairs by sides.
    """

    item: Item
    stage: int
    swapped: bool
    answered: dict[str, str]


@dataclasses.dataclass(frozen=True)
class Given:
    """What an annotator has to do.

    tasks: the first is to be done now, the others are next.
    done: tasks that the annotator has done.
    left: tasks that can be given to the annotator now, `tasks` included.
    state: WORKING; WAITING if others hold or decide what is left; FINISHED.
    last: the annotator's last answer, which can be taken back, and its task; None without one.
    """

    tasks: list[Task]
    done: int
    left: int
    state: str
    last: tuple[Answer, Task] | None


class Tasks:
    """The tasks of a labelling set; functions may be called from any thread.

    lease_s: seconds for which a task is reserved.
    """

    def __init__(self, labelset: LabelSet, store: Store, lease_s: float = LEASE_S):
        self.labelset, self._store, self._lease_s = labelset, store, lease_s
        self._lock = threading.Lock()
        self._items = {item.id: item for item in labelset.items}
        self._orders: dict[str, list[Item]] = {}
        self._by_id: dict[str, Answer] = {}
        self._current: dict[tuple[str, str], dict[str, Answer]] = collections.defaultdict(dict)
        self._complete: dict[Key, set[str]] = collections.defaultdict(set)
        self._held: dict[Key, dict[str, Assignment]] = collections.defaultdict(dict)
        self._history: dict[str, list[str]] = collections.defaultdict(list)
        for answer in store.answers():
            self._keep(answer)
        for each in store.assignments():
            self._held[each.item, each.stage][each.annotator] = each

    def give(self, annotator: str, count: int = 2) -> Given:
        """Up to `count` tasks of an annotator, which are reserved: those begun first."""
        now = time.time()
        with self._lock:
            free, waiting = self._free(annotator, now)
            held = {key: own for key in free if (own := self._held[key].get(annotator))}
            begun = sorted(held, key=lambda key: held[key].given)
            chosen = [*begun, *(key for key in free if key not in held)][:count]
            self._reserve(annotator, chosen, now)
            done = sum(annotator in annotators for annotators in self._complete.values())
            state = WORKING if chosen else WAITING if waiting else FINISHED
            tasks = [self._task(annotator, key) for key in chosen]
            return Given(tasks, done, len(free), state, self._last(annotator))

    def answer(
        self,
        annotator: str,
        answer_id: str,
        item_id: str,
        question: str,
        given: str,
        seconds: float | None = None,
    ) -> Answer:
        """Takes an answer; it is on disk when this returns. The same one again changes nothing.

        given: one of the kind's answers; for pairs by sides.

        Raises:
            ValueError: another answer, id or time than can be.
            Unknown: an item or question that the annotator was not given.
            Conflict: the id stands for another answer, or the question is answered.
        """
        with self._lock:
            made = self._made(annotator, answer_id, item_id, question, given, seconds)
            before = self._by_id.get(answer_id)
            if before is not None:
                same = dataclasses.replace(
                    before, made=made.made, seconds=made.seconds, undone=None
                )
                if same != made:
                    raise Conflict(f"id {answer_id!r} stands for another answer.")
                return before
            if annotator in self._current[item_id, question]:
                raise Conflict(f"{question} of this item has an answer of yours already.")
            self._store.add_answer(made)
            self._keep(made)
            return made

    def undo(self, annotator: str, answer_id: str) -> Task:
        """Takes the annotator's last answer back; again changes nothing. Returns its task.

        Raises:
            Unknown: no answer of this annotator.
            Conflict: not the last one.
        """
        now = time.time()
        with self._lock:
            found = self._by_id.get(answer_id)
            if found is None or found.annotator != annotator:
                raise Unknown("there is no such answer of yours.")
            key = self._key(found.item, found.question)
            if found.undone is None:
                if self._history[annotator][-1] != answer_id:
                    raise Conflict("only the last answer can be taken back.")
                self._store.undo(answer_id, now)
                self._by_id[answer_id] = dataclasses.replace(found, undone=now)
                self._history[annotator].pop()
                del self._current[found.item, found.question][annotator]
                self._complete[key].discard(annotator)
                self._reserve(annotator, [key], now)
            return self._task(annotator, key)

    def consensus(self, item: Item, question: str) -> Consensus[str]:
        """Consensus of the answers so far."""
        answers = [each.answer for each in self._current[item.id, question].values()]
        return consensus(answers, self.labelset.annotators)

    def _free(self, annotator: str, now: float) -> tuple[list[Key], bool]:
        """Tasks that can be given to an annotator, in order; whether there may be more later."""
        if annotator not in self._orders:
            self._orders[annotator] = order_of(self.labelset, annotator)
        found, waiting = [], False
        for stage in range(len(self.labelset.stages)):
            for item in self._orders[annotator]:
                key = (item.id, stage)
                done = self._complete.get(key, ())
                if annotator in done:
                    continue
                is_open = self._is_open(item, stage)
                if not is_open:
                    waiting |= is_open is None
                    continue
                wanted = self.labelset.annotators
                if not item.known and len(done) + self._others(key, annotator, now) >= wanted:
                    waiting |= len(done) < wanted
                else:
                    found.append(key)
        return found, waiting

    def _others(self, key: Key, annotator: str, now: float) -> int:
        """Other annotators that hold a task and have not done it."""
        done = self._complete.get(key, ())
        return sum(
            each.expires > now and name != annotator and name not in done
            for name, each in self._held.get(key, {}).items()
        )

    def _is_open(self, item: Item, stage: int) -> bool | None:
        """Whether a stage can be done; None if the stage before is not decided."""
        if item.known:
            own = self.labelset.stages[stage]
            return any(question.id in item.known for question in own)
        if stage == 0:
            return True
        before = self._is_open(item, stage - 1)
        if not before:
            return before
        found = [self.consensus(item, each.id) for each in self.labelset.stages[stage - 1]]
        if any(each.state == UNFINISHED for each in found):
            return None
        return all(each.state == AGREED and each.answer == PASS for each in found)

    def _made(
        self,
        annotator: str,
        answer_id: str,
        item_id: str,
        question: str,
        given: str,
        seconds: float | None,
    ) -> Answer:
        item = self._items.get(item_id)
        key = self._key(item_id, question)
        if item is None or annotator not in self._held[key]:
            raise Unknown("this item or question was not given to you.")
        if given not in self.labelset.rules.answers:
            known = ", ".join(self.labelset.rules.answers)
            raise ValueError(f"answer {given[:40]!r} must be one of {known}.")
        if not 0 < len(answer_id) <= LONGEST_ID or not answer_id.isascii():
            raise ValueError(f"the id of an answer must be 1 to {LONGEST_ID} characters of ASCII.")
        if seconds is not None and not 0 <= seconds <= LONGEST_S:
            raise ValueError(f"seconds={seconds:g} must lie in 0 to {LONGEST_S:g}.")
        side = int(swapped(self.labelset, annotator, item)) if len(item.clips) == 2 else None
        return Answer(
            id=answer_id,
            item=item_id,
            question=question,
            annotator=annotator,
            answer=given if side is None else verdict_of(given, side),
            left_clip=side,
            seconds=seconds,
            made=time.time(),
        )

    def _key(self, item_id: str, question: str) -> Key:
        stage = self.labelset.stage_of(question)
        if stage is None:
            raise Unknown(f"there is no question {question[:40]!r}.")
        return (item_id, stage)

    def _keep(self, answer: Answer) -> None:
        """Counts an answer that is on disk."""
        self._by_id[answer.id] = answer
        if answer.undone is not None:
            return
        self._current[answer.item, answer.question][answer.annotator] = answer
        self._history[answer.annotator].append(answer.id)
        key = self._key(answer.item, answer.question)
        questions = self.labelset.stages[key[1]]
        if all(answer.annotator in self._current[answer.item, each.id] for each in questions):
            self._complete[key].add(answer.annotator)

    def _reserve(self, annotator: str, keys: Sequence[Key], now: float) -> None:
        made = []
        for key in keys:
            before = self._held[key].get(annotator)
            given = now if before is None else before.given
            # Written to disk once in a while, not at every look.
            if before is None or before.expires < now + self._lease_s / 2:
                made.append(Assignment(*key, annotator, given, now + self._lease_s))
        if made:
            self._store.assign(made)
            for each in made:
                self._held[each.item, each.stage][annotator] = each

    def _task(self, annotator: str, key: Key) -> Task:
        item, stage = self._items[key[0]], key[1]
        return Task(
            item=item,
            stage=stage,
            swapped=swapped(self.labelset, annotator, item),
            answered={
                question: side_of(answer.answer, answer.left_clip)
                for question, answer in self._own(annotator, key)
            },
        )

    def _own(self, annotator: str, key: Key) -> Iterator[tuple[str, Answer]]:
        for question in self.labelset.stages[key[1]]:
            answer = self._current[key[0], question.id].get(annotator)
            if answer is not None:
                yield question.id, answer

    def _last(self, annotator: str) -> tuple[Answer, Task] | None:
        if not self._history[annotator]:
            return None
        answer = self._by_id[self._history[annotator][-1]]
        return answer, self._task(annotator, self._key(answer.item, answer.question))
