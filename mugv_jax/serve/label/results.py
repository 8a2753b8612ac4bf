# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""What the answers of a labelling set say: consensus, agreement, preferences, rates, accuracy.

Answers about golden items tell how reliable an annotator is and count for nothing else.
"""

import collections
import dataclasses
import statistics
from collections.abc import Mapping, Sequence

from mugv_jax.eval.human.agreement import Agreement, agreement
from mugv_jax.eval.human.consensus import AGREED, UNFINISHED, Consensus, consensus
from mugv_jax.eval.human.preferences import VERDICTS, Preference, preference
from mugv_jax.eval.human.rates import Rate, rate
from mugv_jax.serve.label.labelset import Item, LabelSet
from mugv_jax.serve.label.questions import ECOMMERCE, PAIRS, PASS, REVIEW, SINGLE
from mugv_jax.serve.label.store import Answer

# Rates of e-commerce clips, by the stages that a clip has passed.
STAGE_RATES = ("natural rate", "pass rate", "high-quality rate")
ALL = "all questions"
Decisions = Mapping[tuple[str, str], Consensus[str]]  # (id of an item, question) -> consensus


@dataclasses.dataclass(frozen=True, kw_only=True)
class Grades:
    """Grades of one question: the mean over clips of their median, and clips by their median."""

    clips: int
    mean: float
    counts: Mapping[str, int]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Results:
    """What the answers say.

    answers: those that count.
    accuracy: share of right answers about golden items by annotator.
    left_out: annotators whose accuracy is below the bar; their answers do not count.
    decisions: consensus about every item that is not golden.
    agreement: by question.
    preferences: of pairs of two models, by question; None without votes.
    rates: of sets with pass and fail, by model and name of the rate.
    grades: of review lists, by question.
    """

    labelset: LabelSet
    answers: Sequence[Answer]
    accuracy: Mapping[str, Rate]
    left_out: Sequence[str]
    decisions: Decisions
    agreement: Mapping[str, Agreement]
    preferences: Mapping[str, Preference | None]
    rates: Mapping[str, Mapping[str, Rate]]
    grades: Mapping[str, Grades]

    def states(self, question: str) -> Mapping[str, int]:
        """Number of items by the state of their consensus; items without any answer are none."""
        return collections.Counter(
            found.state for (_, name), found in self.decisions.items() if name == question
        )


def results_of(
    labelset: LabelSet, answers: Sequence[Answer], min_accuracy: float | None = None
) -> Results:
    """Results of all answers.

    answers: also those that were taken back, which do not count.
    min_accuracy: annotators with a smaller accuracy are left out; needs golden items.

    Raises:
        ValueError: no answer, a bar outside of 0 to 1, or a bar without golden items.
    """
    current = [each for each in answers if each.undone is None]
    if not current:
        raise ValueError("the set has no answers yet.")
    accuracy = _accuracy(labelset, current)
    left_out = _left_out(accuracy, min_accuracy)
    golden = {item.id for item in labelset.items if item.known}
    counted = [
        each for each in current if each.item not in golden and each.annotator not in left_out
    ]
    given: dict[tuple[str, str], list[str]] = collections.defaultdict(list)
    for each in counted:
        given[each.item, each.question].append(each.answer)
    decisions = {key: consensus(own, labelset.annotators) for key, own in given.items()}
    categories = VERDICTS if labelset.kind == PAIRS else labelset.rules.answers
    by_question = {
        question.id: [own for (_, name), own in given.items() if name == question.id]
        for question in labelset.questions
    }
    return Results(
        labelset=labelset,
        answers=counted,
        accuracy=accuracy,
        left_out=left_out,
        decisions=decisions,
        agreement={
            name: agreement(own, categories, ordered=labelset.rules.ordered)
            for name, own in by_question.items()
        },
        preferences=(
            {name: preference(own) for name, own in by_question.items()}
            if labelset.kind == PAIRS and len(labelset.models) == 2
            else {}
        ),
        rates=_rates(labelset, decisions),
        grades=(
            {name: _grades(own, categories) for name, own in by_question.items() if own}
            if labelset.kind == REVIEW
            else {}
        ),
    )


def _accuracy(labelset: LabelSet, answers: Sequence[Answer]) -> dict[str, Rate]:
    known = {item.id: item.known for item in labelset.items if item.known}
    right: dict[str, list[bool]] = collections.defaultdict(list)
    for each in answers:
        expected = known.get(each.item, {}).get(each.question)
        if expected is not None:
            right[each.annotator].append(each.answer == expected)
    return {name: rate(sum(own), len(own)) for name, own in sorted(right.items())}


def _left_out(accuracy: Mapping[str, Rate], bar: float | None) -> list[str]:
    if bar is None:
        return []
    if not 0 <= bar <= 1:
        raise ValueError(f"min_accuracy={bar:g} must lie in 0 to 1.")
    if not accuracy:
        raise ValueError(
            f"min_accuracy={bar:g} needs answers about golden items, and there are none: make the "
            "set with --golden."
        )
    return [name for name, own in accuracy.items() if own.count < bar * own.of]


def _rates(labelset: LabelSet, decisions: Decisions) -> dict[str, dict[str, Rate]]:
    """Rates by model; what is not decided is left out, and a tie is no pass."""
    if labelset.kind not in (SINGLE, ECOMMERCE):
        return {}
    made = {}
    for model in labelset.models:
        own = [each for each in labelset.items if not each.known and each.clips[0].model == model]
        if labelset.kind == ECOMMERCE:
            made[model] = {
                name: _share([_passed(labelset, decisions, item, stage) for item in own])
                for stage, name in enumerate(STAGE_RATES)
            }
            continue
        by_question = {
            question.id: [_verdict(decisions, item, question.id) for item in own]
            for question in labelset.questions
        }
        every = [_all(verdicts) for verdicts in zip(*by_question.values(), strict=True)]
        made[model] = {name: _share(found) for name, found in (*by_question.items(), (ALL, every))}
    return made


def _share(verdicts: Sequence[bool | None]) -> Rate:
    decided = [each for each in verdicts if each is not None]
    return rate(sum(decided), len(decided))


def _verdict(decisions: Decisions, item: Item, question: str) -> bool | None:
    """Whether an item has passed; None if it is not decided."""
    found = decisions.get((item.id, question))
    if found is None or found.state == UNFINISHED:
        return None
    return found.state == AGREED and found.answer == PASS


def _all(verdicts: Sequence[bool | None]) -> bool | None:
    """Whether all have passed, which a single failure decides."""
    if False in verdicts:
        return False
    return None if None in verdicts else True


def _passed(labelset: LabelSet, decisions: Decisions, item: Item, last: int) -> bool | None:
    """Whether an item has passed all stages up to `last`."""
    for stage in labelset.stages[: last + 1]:
        passed = _all([_verdict(decisions, item, question.id) for question in stage])
        if not passed:
            return passed
    return True


def _grades(answers: Sequence[Sequence[str]], categories: Sequence[str]) -> Grades:
    medians = [statistics.median(map(int, own)) for own in answers]
    lower = collections.Counter(str(int(median)) for median in medians)
    return Grades(
        clips=len(medians),
        mean=statistics.fmean(medians),
        counts={grade: lower[grade] for grade in categories},
    )
